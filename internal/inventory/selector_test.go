package inventory_test

import (
	"encoding/json"
	"strings"
	"testing"

	"example.com/certscan/internal/inventory"
)

func TestSelector(t *testing.T) {
	t.Parallel()
	shop := inventory.Target{
		Host: "shop.example.com", Port: 443, Protocol: inventory.TLS, Address: "192.0.2.7",
		Labels:  map[string]string{"owner": "web", "environment": "prod", "host": "rack 7", "region": "eu", "tier*": "a*b"},
		Sources: []string{"file:domains.txt", "arg"},
	}
	bare := inventory.Target{Host: "2001:db8::7", Port: 25, Protocol: inventory.SMTP}
	for _, tt := range []struct {
		selector   string
		shop, bare bool
	}{
		{"*", true, true},
		{"owner=web", true, false},
		{"owner==web", true, false},
		{"team=web", true, false},
		{"env=prod", true, false},
		{"Environment=prod", true, false},
		{"ENV!=prod", false, true},
		{"label.Team=web", true, false},
		{"Region=eu", false, false}, // the case of all others counts, as in lists
		{"region=eu", true, false},
		{"owner=Web", false, false},
		{"owner!=web", false, true},
		{`owner=""`, false, true},
		{"owner=*", true, false},
		{"owner!=*", false, true},
		{"environment in (staging, prod)", true, false},
		{"environment not in (staging,prod)", false, true},
		{"environment notin (test)", true, true},
		{"owner=web, environment=prod", true, false},
		{"owner=web and environment!=prod", false, false},
		{"owner=db or environment=prod", true, false},
		{"owner=db, port=443 or protocol=smtp", false, true},
		{"*.example.com", true, false},
		{"*.EXAMPLE.com", true, false},
		{"*.com", true, false},
		{"example.com", false, false},
		{"shop.*", true, false},
		{"s*p.ex*.c*m", true, false},
		{"host=2001:db8::/32", false, true},
		{"2001:db8::7", false, true},
		{"address=192.0.2.0/24", true, false},
		{`address=""`, false, true},
		{"port in (443, 8443)", true, false},
		{"port=2*", false, true},
		{"protocol!=tls", false, true},
		{"source=file:*", true, false},
		{"source!=arg", false, true},
		{`source=""`, false, true},
		{"target=smtp://*", false, true},
		{`label.host="rack 7"`, true, false},
		{`tier*="a*b"`, true, false},
		{`tier*="a*"`, false, false},
		{"code=expired", false, false},
		{"code!=expired", false, false},
	} {
		t.Run(tt.selector, func(t *testing.T) {
			t.Parallel()
			s, err := inventory.ParseSelector(tt.selector)
			if err != nil {
				t.Fatal(err)
			}
			if got := s.Match(shop); got != tt.shop {
				t.Errorf("matches %v: %t, want %t", shop, got, tt.shop)
			}
			if got := s.Match(bare); got != tt.bare {
				t.Errorf("matches %v: %t, want %t", bare, got, tt.bare)
			}
		})
	}
}

func TestSelectorOfFindings(t *testing.T) {
	t.Parallel()
	shop := inventory.Target{Host: "shop.example.com", Port: 443, Protocol: inventory.TLS}
	f := inventory.Finding{Code: inventory.CodeProfile, Rule: "no_san", Severity: inventory.Warning}
	for _, tt := range []struct {
		selector      string
		target, fleet bool
	}{
		{"*", true, true},
		{"code=profile", true, true},
		{"code=profile, rule=no_*", true, true},
		{"code=profile, *.example.com", true, false},
		{"code=profile, owner!=web", true, false}, // of a finding of the fleet nobody knows the owner
		{"severity in (critical, info)", false, false},
	} {
		s, err := inventory.ParseSelector(tt.selector)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.MatchFinding(shop, f); got != tt.target {
			t.Errorf("%q selects the finding of a target: %t, want %t", tt.selector, got, tt.target)
		}
		if got := s.MatchFleet(f); got != tt.fleet {
			t.Errorf("%q selects the finding of the fleet: %t, want %t", tt.selector, got, tt.fleet)
		}
	}
}

func TestSelectorMistakes(t *testing.T) {
	t.Parallel()
	for selector, want := range map[string]string{
		"":                         "want * for everything",
		" ":                        "want * for everything",
		"prod":                     "want prod=VALUE, or host=prod",
		"owner=":                   "the end after label.owner: want a value",
		"owner=web,":               "the end has no place here",
		"owner=web environment=p":  "want a comma, or, or the end",
		"environment in prod":      "want values in parentheses",
		"environment in ()":        "want a value",
		"environment in (a b)":     "want a comma or a closing parenthesis",
		"environment not (a)":      "want in",
		"=web":                     "has no place here",
		"host=10.0.0.0/99":         `"10.0.0.0/99" is not a network`,
		"address in (a, 10.0.0/8)": `"10.0.0/8" is not a network`,
		"host=https://example.com": "is not a network",
		"port=70000":               `"70000" is not a port`,
		"port=https":               `"https" is not a port`,
		"protocol=gopher":          "is not a protocol",
		"code=expird":              `there is no finding "expird"`,
		"severity=bad":             "is not a severity",
		"bücher.example":           "xn--",
		`owner="web`:               "is not closed",
		`owner="a\n"`:              "is followed by neither",
		"owner=we\x00b":            "quotation marks",
		"owner=\xff":               "is not UTF-8",
		strings.Repeat("a", 5000):  "at most 4096",
		"owner=a!b":                "quotation marks",
		"or=web":                   "has no place here",
		"environment in (a, b) or": "the end has no place here",
	} {
		_, err := inventory.ParseSelector(selector)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseSelector(%q) = %v, want %q in it", selector, err, want)
		}
	}
}

func TestSelectorSurvivesJSON(t *testing.T) {
	t.Parallel()
	type record struct {
		Selector inventory.Selector `json:"selector"`
	}
	var got record
	if err := json.Unmarshal([]byte(`{"selector":"owner=web or *.example.com"}`), &got); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(got)
	if want := `{"selector":"owner=web or host=*.example.com"}`; err != nil || string(text) != want {
		t.Errorf("got %s, %v, want %s", text, err, want)
	}
}

// What is printed is read as the same selector, and nothing takes long.
func FuzzParseSelector(f *testing.F) {
	for _, s := range []string{
		"*", "owner=web, environment!=prod", "environment in (a,b) or *.example.com", `label.host="a \"b\" *"`,
		"host=10.1.2.3/8", "label.label.x=y", `label.in="or"`, "code=expired, severity!=info", "a*=*", "port not in (1,2)",
	} {
		f.Add(s)
	}
	t0 := inventory.Target{Host: "a.example.com", Port: 443, Labels: map[string]string{"owner": "web"}}
	f.Fuzz(func(t *testing.T, s string) {
		sel, err := inventory.ParseSelector(s)
		if err != nil {
			return
		}
		again, err := inventory.ParseSelector(sel.String())
		if err != nil {
			t.Fatalf("%q was printed as %q: %v", s, sel, err)
		}
		if again.String() != sel.String() || again.Match(t0) != sel.Match(t0) {
			t.Errorf("%q was printed as %q and read as %q", s, sel, again)
		}
	})
}
