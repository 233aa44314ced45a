package report_test

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/report"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// screen plays what was written to a terminal and returns its lines.
func screen(s string) []string {
	lines := []string{""}
	for len(s) > 0 {
		last := len(lines) - 1
		switch {
		case strings.HasPrefix(s, "\r\x1b[K"):
			lines[last], s = "", s[4:]
		case s[0] == '\r':
			lines[last], s = "", s[1:] // what follows overwrites and erases the rest
		case strings.HasPrefix(s, "\x1b[K"):
			s = s[3:]
		case s[0] == '\n':
			lines, s = append(lines, ""), s[1:]
		default:
			lines[last], s = lines[last]+s[:1], s[1:]
		}
	}
	return lines
}

func TestProgressShowsWhatIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		p := report.NewProgress(&b, true, 100)
		p.InFlight = func() int { return 7 }
		for i := range 50 {
			time.Sleep(200 * time.Millisecond)
			r := fleet()[0]
			if i%5 == 0 {
				r = fleet()[5] // gone.example
			}
			p.Add(r)
		}
		lines := screen(b.String())
		got := lines[len(lines)-1]
		for _, want := range []string{"50%", "(50/100, 5 targets/s)", "10s left", "10 failed", "7 in flight"} {
			if !strings.Contains(got, want) {
				t.Errorf("line %q, want %q in it", got, want)
			}
		}
		if n := len([]rune(got)); n > 79 {
			t.Errorf("%d columns, want at most 79: %q", n, got)
		}
		p.Close()
		if lines := screen(b.String()); len(lines) != 1 || lines[0] != "" {
			t.Errorf("Close leaves %q", lines)
		}
	})
}

func TestLogsDoNotGarbleProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		p := report.NewProgress(&b, true, 10)
		w := p.Writer()
		fmt.Fprintln(w, "before the first")
		for i := range 12 { // two more than were announced
			time.Sleep(time.Second)
			p.Add(fleet()[0])
			fmt.Fprintf(w, "warning %d\n", i)
		}
		p.Close()
		p.Close()
		fmt.Fprintln(w, "after the last")
		lines := screen(b.String())
		if len(lines) != 15 || lines[0] != "before the first" || lines[1] != "warning 0" || lines[12] != "warning 11" || lines[13] != "after the last" {
			t.Errorf("screen %q", lines)
		}
	})
}

func TestProgressOfAnUnknownTotal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		p := report.NewProgress(&b, true, 0)
		for range 30 {
			time.Sleep(time.Second)
			p.Add(fleet()[0])
		}
		if lines := screen(b.String()); !strings.Contains(lines[len(lines)-1], "(30/-, 60 targets/min)") {
			t.Errorf("screen %q", lines)
		}
		p.Close()
	})
}

func TestDisabledProgressWritesOnlyLogs(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	p := report.NewProgress(&b, false, 10)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { p.Add(inventory.Result{}) })
	}
	wg.Wait()
	fmt.Fprintln(p.Writer(), "a warning")
	p.Close()
	if b.String() != "a warning\n" {
		t.Errorf("wrote %q", b.String())
	}
}
