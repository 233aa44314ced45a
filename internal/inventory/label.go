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
