package main

import (
	"bufio"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestDemoServes: what the demo says to look at is there, things happen that the
// log tells of, and it ends well when it is told to.
func TestDemoServes(t *testing.T) {
	t.Parallel()
	cmd := process(t, "demo", "--serve", "--listen", "127.0.0.1:0")
	said, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(said)
	// until reads up to a line that matches all of the expressions.
	until := func(expr string) []string {
		re := regexp.MustCompile(expr)
		var all []string
		for lines.Scan() {
			all = append(all, lines.Text())
			if re.MatchString(lines.Text()) {
				return all
			}
		}
		t.Fatalf("the demo ended before it said %s:\n%s", expr, strings.Join(all, "\n"))
		return nil
	}
	pages := regexp.MustCompile(`http://[^ ']+`).FindAllString(strings.Join(until(`things begin to happen`), "\n"), -1)
	if len(pages) != 5 {
		t.Errorf("pages %q, want five", pages)
	}
	until(`in the lab: the certificate is renewed, and installed on one of two nodes`)
	until(`finding opened.*target=renewed-one-node.*code=addresses_disagree`)
	for _, url := range pages {
		res, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != http.StatusOK || !strings.Contains(string(b), "lab.example.com") && !strings.HasSuffix(url, "/") && !strings.Contains(url, "/probe") {
			t.Errorf("%s: %v %s\n%.500s", url, err, res.Status, b)
		}
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	until(`msg=stopped`)
	for lines.Scan() {
		t.Errorf("after it stopped it said %s", lines.Text())
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the demo ended with %v, want exit status 0", err)
	}
}

func TestDemoUsage(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"demo", "--listen", "127.0.0.1:0"}, "--listen goes with --serve"},
		{[]string{"demo", "--serve", "--stay"}, "--stay goes with a scan"},
		{[]string{"demo", "--serve", "--format", "json"}, "--format goes with a scan"},
		{[]string{"demo", "--serve", "-o", "x"}, "--output goes with a scan"},
	} {
		checkComplaint(t, certscan(t, t.Context(), t.TempDir(), "", tt.args...), exitUsage, tt.want)
	}
}
