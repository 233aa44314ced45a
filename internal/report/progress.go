package report

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"example.com/certscan/internal/inventory"
)

// redrawEvery bounds what drawing costs.
const redrawEvery = 100 * time.Millisecond

// A Progress shows on one line of a terminal how far a scan is. A disabled one
// does nothing, so that callers need not ask. It is safe for concurrent use.
type Progress struct {
	// InFlight, if set before the first Add, says how many targets are being
	// examined.
	InFlight func() int

	w       io.Writer
	started time.Time

	mu      sync.Mutex
	bar     *progressbar.ProgressBar // nil: disabled or closed
	pending int                      // targets that bar has not been told of
	done    int
	total   int
	failed  int
	shown   bool // the line stands on the terminal
	drawn   time.Time
}

// NewProgress shows progress over total targets on w, which is a terminal if
// enabled. A total of 0 is unknown.
func NewProgress(w io.Writer, enabled bool, total int) *Progress {
	p := &Progress{w: w, started: time.Now(), total: total}
	if !enabled {
		return p
	}
	size := total
	if total <= 0 {
		size = -1
	}
	p.bar = progressbar.NewOptions(size,
		progressbar.OptionSetWriter(io.Discard), // drawing is done here, where other lines can come between
		progressbar.OptionSetWidth(min(24, max(0, terminalWidth(w)-64))),
		progressbar.OptionSetTheme(progressbar.Theme{Saucer: "━", SaucerHead: "━", SaucerPadding: "┄"}),
		progressbar.OptionShowCount(),
		progressbar.OptionShowIts(),
		progressbar.OptionSetItsString("targets"),
		progressbar.OptionSetPredictTime(false), // told in words by draw
		progressbar.OptionSetElapsedTime(false),
		progressbar.OptionSetSpinnerChangeInterval(0), // else it starts a goroutine that nothing waits for
		progressbar.OptionSpinnerType(14),
		progressbar.OptionShowDescriptionAtLineEnd(),
	)
	p.bar.StartWithoutRender()
	return p
}

// terminalWidth is the width of w, or 80 if that cannot be asked.
func terminalWidth(w io.Writer) int {
	if f, ok := w.(interface{ Fd() uintptr }); ok {
		if n, _, err := term.GetSize(int(f.Fd())); err == nil && n > 0 {
			return n
		}
	}
	return 80
}

// Add counts one examined target.
func (p *Progress) Add(r inventory.Result) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar == nil {
		return
	}
	p.done++
	p.pending++
	if !answered(r) {
		p.failed++
	}
	if time.Since(p.drawn) >= redrawEvery {
		p.draw()
	}
}

// answered reports whether any endpoint of r showed a certificate.
func answered(r inventory.Result) bool {
	for _, e := range r.Endpoints {
		if e.Observation.Reach.Status == inventory.ReachOK || served(e) {
			return true
		}
	}
	return false
}

// draw is called under mu, with a bar.
func (p *Progress) draw() {
	var notes []string
	if took := time.Since(p.started); p.total > p.done && p.done > 0 && took > time.Second {
		notes = append(notes, span(took/time.Duration(p.done)*time.Duration(p.total-p.done))+" left")
	}
	if p.failed > 0 {
		notes = append(notes, fmt.Sprintf("%d failed", p.failed))
	}
	if p.InFlight != nil {
		notes = append(notes, fmt.Sprintf("%d in flight", p.InFlight()))
	}
	// The bar's errors are about going past its end, which a target found late
	// may do: then it stays full.
	p.bar.Describe(strings.Join(notes, ", "))
	if p.total > 0 && p.done > p.total {
		p.total = p.done
		p.bar.ChangeMax(p.total + 1) // a bar that has reached its end cannot go on
	}
	_ = p.bar.Add(p.pending)
	p.pending = 0
	line := strings.TrimRight(strings.ReplaceAll(p.bar.String(), "\r", ""), " ")
	fmt.Fprintf(p.w, "\r%s\x1b[K", cutEnd(line, terminalWidth(p.w)-1))
	p.shown, p.drawn = true, time.Now()
}

// clear takes the line off the terminal until the next Add.
func (p *Progress) clear() {
	if p.shown {
		io.WriteString(p.w, "\r\x1b[K")
		p.shown = false
	}
}

// Close takes the line off for good.
func (p *Progress) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	p.bar = nil
}

// Writer is where logs and warnings go that share the terminal with the line:
// each write clears it, writes, and draws it again. A write should end a line.
func (p *Progress) Writer() io.Writer { return progressWriter{p} }

type progressWriter struct{ p *Progress }

func (w progressWriter) Write(b []byte) (int, error) {
	w.p.mu.Lock()
	defer w.p.mu.Unlock()
	again := w.p.shown
	w.p.clear()
	n, err := w.p.w.Write(b)
	if again && w.p.bar != nil {
		w.p.draw()
	}
	return n, err
}
