package lab_test

import (
	"testing"
	"time"

	"example.com/certscan/internal/lab"
)

func TestSmoke(t *testing.T) {
	start := time.Now()
	l, err := lab.Start(t.Context(), lab.Options{Endpoints: 1000})
	if err != nil {
		t.Fatal(err)
	}
	t.Log(time.Since(start))
	for _, s := range l.Scenarios() {
		t.Log(s.Name, s.Targets, s.Want, s.Reach, len(s.Leaves), s.About)
	}
	start = time.Now()
	l.Close()
	t.Log(time.Since(start))
}
