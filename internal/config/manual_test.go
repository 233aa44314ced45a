package config_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"example.com/certscan/internal/config"
)

// The manual explains every key, no others, and names the right defaults.
func TestManual(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := make(map[string]string) // defaults by key
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_.\\[\\]]+)` \\| (.*?) \\| .+ \\|$").FindAllStringSubmatch(string(page), -1) {
		rows[m[1]] = m[2]
	}
	known := make(map[string]bool)
	for _, key := range keys(t) {
		known[key] = true
		_, explained := rows[key]
		switch {
		case explained:
		case strings.HasPrefix(key, "policy."), strings.HasPrefix(key, "waivers[]"): // policy.md
		case strings.Contains(string(page), "\n## "+key+"\n"): // a block
		case key == "locations", key == "ct", key == "renew":
		default:
			t.Errorf("configuration.md does not explain %s", key)
		}
	}
	for key := range rows {
		if !known[key] {
			t.Errorf("configuration.md explains %s, which is not there", key)
		}
	}
	for key, want := range defaults(t) {
		if got := rows[key]; got != want {
			t.Errorf("configuration.md: the default of %s is %q, and not %q", key, want, got)
		}
	}
}

// defaults are the values that are printed when nothing is configured, and those
// of a source of files.
func defaults(t *testing.T) map[string]string {
	t.Helper()
	cfg, err := config.Read("f.yaml", strings.NewReader("sources: [{name: a, files: [a]}]"), parsers())
	if err != nil {
		t.Fatal(err)
	}
	text, err := cfg.YAML()
	if err != nil {
		t.Fatal(err)
	}
	var tree any
	if err := yaml.Unmarshal(text, &tree); err != nil {
		t.Fatal(err)
	}
	flat := make(map[string]string)
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for k, v := range v {
				walk(strings.TrimPrefix(path+"."+k, "."), v)
			}
		case []any:
			var words []string
			for _, v := range v {
				if _, ok := v.(map[string]any); ok {
					walk(path+"[]", v)
					continue
				}
				words = append(words, fmt.Sprint(v))
			}
			if words != nil {
				flat[path] = strings.Join(words, ", ")
			}
		default:
			flat[path] = fmt.Sprint(v)
		}
	}
	walk("", tree)
	delete(flat, "sources[].name")
	delete(flat, "sources[].files")
	return flat
}
