package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/report"
)

type fakeTerminal struct{ bytes.Buffer }

func (*fakeTerminal) Fd() uintptr { return 2 }

// What is printed to a terminal fits it; what is piped is one line each.
func TestWidths(t *testing.T) {
	t.Parallel()
	long := strings.TrimSpace(strings.Repeat("some words ", 40))
	verdict := &inventory.Verdict{
		Revocation: inventory.RevocationVerdict{Status: inventory.RevocationUnknown, Detail: long},
		CT:         inventory.CTVerdict{Status: inventory.CTUnverifiable, Detail: long, SCTs: []inventory.SCTVerdict{{Status: "unverifiable", Detail: long}}},
	}
	write := func(width int) string {
		var b bytes.Buffer
		opt := report.Options{Width: width}
		findings(&b, []inventory.Finding{{Code: inventory.CodeExpired, Severity: inventory.Critical, Message: long}}, opt)
		revocationLine(&b, verdict, opt)
		timestamps(&b, verdict, opt)
		return b.String()
	}
	if n := strings.Count(write(0), "\n"); n != 4 {
		t.Errorf("%d lines are piped, want 4", n)
	}
	var screen fakeTerminal
	n, err := fmt.Fprintf(noteWriter{&screen, 80}, "certscan: %s\n", long)
	if want := len("certscan: ") + len(long) + 1; n != want || err != nil {
		t.Errorf("Write = %d, %v, want %d", n, err, want)
	}
	if joined := strings.Join(strings.Fields(screen.String()), " "); joined != "certscan: "+long {
		t.Errorf("the note became %q", joined)
	}
	for line := range strings.Lines(write(80) + screen.String() + lookAt) {
		if len([]rune(strings.TrimSuffix(line, "\n"))) > 80 {
			t.Errorf("more than 80 columns: %s", line)
		}
	}
	screen.Reset()
	bar := "\rcertscan " + long
	if fmt.Fprint(noteWriter{&screen, 80}, bar); screen.String() != bar {
		t.Errorf("what is no note became %q", screen.String())
	}
}
