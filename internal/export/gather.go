package export

// gather copies what rendering reads of targets to where it is read in order.
// A fleet's records lie all over the memory, and each family goes through all
// of them: once gathered, that costs half.
func gather(list []*target) []*target {
	var size, n int
	for _, t := range list {
		n += len(t.views)
		size += len(t.labelPrefix)
		for i := range t.views {
			size += len(t.labelPrefix) + len(t.views[i].labels)
		}
	}
	b := make([]byte, 0, size)
	views := make([]view, 0, n)
	targets := make([]target, len(list))
	for i, t := range list {
		targets[i] = *t
		first := len(views)
		for k := range t.views {
			b = append(append(b, t.labelPrefix...), t.views[k].labels...)
			views = append(views, t.views[k])
		}
		if len(t.views) == 0 {
			b = append(b, t.labelPrefix...)
		}
		targets[i].views = views[first:len(views):len(views)]
	}
	text := string(b)
	out := make([]*target, len(list))
	for i := range targets {
		t := &targets[i]
		n := len(t.labelPrefix)
		t.labelPrefix = text[:n]
		for k := range t.views {
			v := &t.views[k]
			v.labelPrefix, text = text[:n+len(v.labels)], text[n+len(v.labels):]
		}
		if len(t.views) == 0 {
			text = text[n:]
		}
		out[i] = t
	}
	return out
}
