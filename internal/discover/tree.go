package discover

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// maxDepth is how deep a YAML or JSON list may be nested. A group of targets
// with labels needs four.
const maxDepth = 16

// A node is a value of a YAML or JSON document.
type node struct {
	kind  kind
	line  int
	text  string   // of a scalar
	keys  []string // of a mapping, beside its items
	items []*node  // of a list or mapping
}

type kind int

const (
	null kind = iota
	scalar
	list
	mapping
	unsupported // text says what
)

// document reads the top of a document: a list of entries, or one group.
func (r *reader) document(n *node) error {
	switch n.kind {
	case null:
		return nil
	case list:
		for _, item := range n.items {
			if err := r.entry(item); err != nil {
				return err
			}
		}
		return nil
	}
	return r.entry(n)
}

// entry reads a target as text, a target as a mapping, or a group.
func (r *reader) entry(n *node) error {
	if n.kind == mapping && slices.Contains(n.keys, "targets") {
		return r.group(n)
	}
	return r.one(n, row{})
}

// group reads {targets: [...], labels: {...}}, which is what Prometheus'
// file_sd has; the targets may also be mappings.
func (r *reader) group(n *node) error {
	var common row
	var targets *node
	for i, key := range n.keys {
		var err error
		switch v := n.items[i]; key {
		case "targets":
			targets = v
			if v.kind != list && v.kind != null {
				err = errors.New("targets must be a list")
			}
		case "labels":
			common.labels, err = labelsOf(v)
		default:
			err = fmt.Errorf("unknown key %q beside targets: known are targets and labels", clip(key))
		}
		if err != nil {
			return r.problem(n.items[i].line, n.items[i].text, err)
		}
	}
	for _, l := range common.labels {
		if l.name == "__scheme__" {
			common.scheme = l.value
		}
	}
	for _, item := range targets.items {
		if err := r.one(item, common); err != nil {
			return err
		}
	}
	return nil
}

// one reads one target. What it says itself comes before what its group says.
func (r *reader) one(n *node, common row) error {
	w := common
	var err error
	switch n.kind {
	case scalar:
		w.target = n.text
		if strings.Contains(n.text, "://") {
			w.scheme = "" // a target that is a URL knows better than its group
		}
	case mapping:
		w, err = rowOf(n, common)
	case unsupported:
		err = errors.New(n.text)
	case list:
		err = errors.New("a list is not a target (an IPv6 address in brackets needs quotation marks: '[2001:db8::7]:443')")
	case null:
		err = errors.New("an empty entry is not a target")
	}
	if err != nil {
		return r.problem(n.line, w.target, err)
	}
	return r.row(n.line, w)
}

// rowOf reads a target that is a mapping. Unknown keys are mistakes here, since
// there is a place for labels.
func rowOf(n *node, common row) (row, error) {
	w := row{scheme: common.scheme}
	hostKey := ""
	for i, key := range n.keys {
		v := n.items[i]
		if key == "labels" {
			own, err := labelsOf(v)
			if err != nil {
				return w, err
			}
			w.labels = append(w.labels, own...)
			continue
		}
		if v.kind == null {
			continue
		}
		if v.kind != scalar {
			return w, fmt.Errorf("the value of %q must be text or a number", clip(key))
		}
		switch key {
		case "port":
			w.port = v.text
		case "protocol", "proto":
			w.scheme = v.text
		case "address", "ip":
			w.address = v.text
		case "owner", "team", "environment", "env", "platform":
			w.labels = append(w.labels, label{key, v.text})
		default:
			if !slices.Contains(hostColumns(), key) {
				return w, fmt.Errorf("unknown key %q: known are target, host, port, protocol, address, labels, owner, environment and platform; others belong under labels", clip(key))
			}
			if hostKey != "" {
				return w, fmt.Errorf("has both %s and %s: write one of them", hostKey, key)
			}
			hostKey, w.target = key, v.text
		}
	}
	if strings.Contains(w.target, "://") && w.scheme == common.scheme {
		w.scheme = "" // as in one
	}
	if hostKey == "" {
		return w, errors.New("has no target: write one under the key target or host")
	}
	w.labels = append(w.labels, common.labels...)
	return w, nil
}

func labelsOf(n *node) ([]label, error) {
	if n.kind == null {
		return nil, nil
	}
	if n.kind != mapping {
		return nil, errors.New("labels must be a mapping of names to values")
	}
	labels := make([]label, 0, len(n.keys))
	for i, name := range n.keys {
		switch n.items[i].kind {
		case scalar:
			labels = append(labels, label{name, n.items[i].text})
		case null:
		default:
			return nil, fmt.Errorf("the value of label %q must be text", clip(name))
		}
	}
	return labels, nil
}

// put adds a key to a mapping.
func (n *node) put(key string, value *node) error {
	if slices.Contains(n.keys, key) {
		return fmt.Errorf("key %q is there twice", clip(key))
	}
	const most = 1000 // also keeps the search for duplicates cheap
	if len(n.keys) >= most {
		return fmt.Errorf("a mapping has more than %d keys", most)
	}
	n.keys, n.items = append(n.keys, key), append(n.items, value)
	return nil
}
