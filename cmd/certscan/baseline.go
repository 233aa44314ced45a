package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/store"
)

// loadBaseline returns the findings that are no news: of a report in json or
// jsonl, or those that were open when an earlier scan ended.
func loadBaseline(ctx context.Context, db *store.DB, what string) (map[inventory.FindingKey]bool, error) {
	if what == "" {
		return nil, nil
	}
	if exists(what) {
		if err := plainFile(what); err != nil {
			return nil, usageError{fmt.Errorf("--baseline: %w", err)}
		}
		f, err := os.Open(what)
		if err != nil {
			return nil, usageError{fmt.Errorf("--baseline: %w", err)}
		}
		defer f.Close()
		keys, err := readBaseline(f)
		if err != nil {
			return nil, usageError{fmt.Errorf("--baseline %q is not a report in json or jsonl: %w", what, err)}
		}
		return keys, nil
	}
	if db == nil {
		return nil, usagef("--baseline %q: there is no such file, and no history to look for a scan in", what)
	}
	info, err := db.Scan(ctx, what)
	switch {
	case errors.Is(err, inventory.ErrUnknownScan) && what == store.LastScan:
		return nil, nil // the first scan of all: everything is new
	case errors.Is(err, inventory.ErrUnknownScan):
		return nil, usagef("--baseline %q: there is no such file, and no such scan in the history", what)
	case err != nil:
		return nil, fmt.Errorf("--baseline: %w", err)
	}
	keys := make(map[inventory.FindingKey]bool)
	for span, err := range db.Findings(ctx, info.Ended, info.Ended) {
		if err != nil {
			return nil, fmt.Errorf("--baseline: %w", err)
		}
		keys[span.Finding.Key()] = true
	}
	return keys, nil
}

// readBaseline takes the findings out of a report: one object, or one a line.
func readBaseline(r io.Reader) (map[inventory.FindingKey]bool, error) {
	type found struct{ Findings []inventory.Finding }
	keys := make(map[inventory.FindingKey]bool)
	add := func(f found) {
		for _, f := range f.Findings {
			if f.Waived == nil { // else it is news when the waiver has ended
				keys[f.Key()] = true
			}
		}
	}
	dec := json.NewDecoder(bufio.NewReader(r))
	for n := 0; ; n++ {
		var part struct {
			found
			Schema    *int
			Type      string
			Endpoints json.RawMessage // records, or in a line of a target their number
			Targets   json.RawMessage // likewise, in a summary
		}
		err := dec.Decode(&part)
		if errors.Is(err, io.EOF) && n > 0 {
			return keys, nil
		}
		if err != nil {
			return nil, err
		}
		if part.Schema == nil && part.Type == "" {
			return nil, errors.New("an object has neither schema nor type")
		}
		add(part.found)
		for _, list := range []json.RawMessage{part.Endpoints, part.Targets} {
			var records []found
			if len(list) > 0 && list[0] == '[' {
				if err := json.Unmarshal(list, &records); err != nil {
					return nil, err
				}
			}
			for _, rec := range records {
				add(rec)
			}
		}
	}
}
