package inventory

import "strings"

// LabelName spells the name of a label as reports know it: owner, environment
// and platform in any case, team for owner and env for environment. All others
// are as they are.
func LabelName(name string) string {
	switch lower := strings.ToLower(name); lower {
	case "owner", "environment", "platform":
		return lower
	case "team":
		return "owner"
	case "env":
		return "environment"
	}
	return name
}

// MetricLabel makes of the name of a label what stands behind "label_" in
// metrics: lower case, and "_" for what is neither letter nor digit.
func MetricLabel(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '_'
	}, name)
}

// Label is the value of a label of t, "" if there is none. A label that t has
// under just this name comes before the one that [LabelName] means: who has team
// beside owner has both.
func (t *Target) Label(name string) string {
	if v, ok := t.Labels[name]; ok {
		return v
	}
	known := LabelName(name)
	if v, ok := t.Labels[strings.ToLower(name)]; ok && known != name {
		return v
	}
	return t.Labels[known]
}
