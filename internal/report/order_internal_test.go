package report

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

func TestOrderedSpillsAndLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	o := ordered{hold: 8}
	for _, s := range []string{"d", "b", "a", "c", "b"} {
		if err := o.add(s, []byte(strings.Repeat(s, 5))); err != nil {
			t.Fatal(err)
		}
	}
	if o.file == nil {
		t.Error("25 bytes are held where 8 may be")
	}
	var b bytes.Buffer
	if err := o.writeTo(&b); err != nil || b.String() != "aaaaabbbbbbbbbbcccccddddd" {
		t.Errorf("writes %q, %v", b.String(), err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestOrderedNeedsNoFolder(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir()+"/none")
	o := ordered{hold: 1}
	for _, s := range []string{"zz", "aa"} {
		if err := o.add(s, []byte(s)); err != nil {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	if err := o.writeTo(&b); err != nil || b.String() != "aazz" {
		t.Errorf("writes %q, %v", b.String(), err)
	}
}
