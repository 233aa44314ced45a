package main

import (
	"context"
	"errors"
	"fmt"
	stdio "io"
	"iter"
	"maps"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"example.com/certscan/internal/discover"
	"example.com/certscan/internal/inventory"
)

// targetFlags say what is to be examined.
type targetFlags struct {
	files    []string
	starttls string
	labels   []string
}

func (f *targetFlags) add(fs *pflag.FlagSet) {
	fs.StringArrayVarP(&f.files, "file", "f", nil, "read targets from `FILE` (- is standard input); repeatable")
	fs.StringVar(&f.starttls, "starttls", "", "speak `PROTOCOL` to targets that name none")
	fs.StringArrayVar(&f.labels, "label", nil, "give every target the label `KEY=VALUE`, unless its list says otherwise; repeatable")
}

// maxBadRows bounds how many bad rows are told one by one: of a file that is no
// list, every row is bad.
const maxBadRows = 20

// read reads lists and arguments into one set. It notes where they disagree,
// warns of rows that are no targets, and counts those.
func (f *targetFlags) read(ctx context.Context, io streams, args []string, note, warn func(string, ...any)) (_ []inventory.Target, badRows int, _ error) {
	defer func() {
		if badRows > maxBadRows {
			warn("and %d more bad rows", badRows-maxBadRows)
		}
	}()
	proto := inventory.TLS
	if f.starttls != "" {
		proto = inventory.Protocol(f.starttls)
		if !proto.Valid() || proto == inventory.TLS {
			return nil, 0, usagef("--starttls %q is not known: want one of %s", f.starttls, joined(inventory.Protocols()[1:]))
		}
	}
	labels, err := parseLabels(f.labels)
	if err != nil {
		return nil, 0, err
	}
	var set discover.Set
	add := func(t inventory.Target) {
		t.Labels = withDefaults(t.Labels, labels)
		for _, c := range set.Add(t) {
			note("%s: label %s is %q by %s and %q by %s; keeping the first", c.Target, c.Label, c.Kept, c.KeptFrom, c.Dropped, c.DroppedFrom)
		}
	}
	for _, a := range args {
		t, err := discover.ParseTargetAs(a, proto)
		if err != nil {
			return nil, 0, usageError{err}
		}
		t.Sources = []string{"arg"}
		add(t)
	}
	for _, name := range f.files {
		list, err := openList(ctx, io, name, discover.Options{Protocol: proto})
		if err != nil {
			return nil, badRows, err
		}
		for t, err := range list {
			if ctx.Err() != nil {
				return nil, badRows, errors.New("interrupted while the targets were read: none was examined")
			}
			if p, ok := errors.AsType[*discover.Problem](err); ok {
				if badRows++; badRows <= maxBadRows {
					warn("%v", p)
				}
				continue
			}
			if err != nil {
				return nil, badRows, usageError{err}
			}
			add(t)
		}
	}
	return set.Targets(), badRows, nil
}

// openList reads the list called name. Only standard input and pipes may keep it
// waiting, and that ends with ctx.
func openList(ctx context.Context, io streams, name string, opt discover.Options) (iter.Seq2[inventory.Target, error], error) {
	open := func() (stdio.Reader, error) { return io.in, nil }
	if name != discover.Stdin {
		if !isPipe(name) {
			if err := plainFile(name); err != nil {
				return nil, usageError{fmt.Errorf("--file: %w: give - for standard input", err)}
			}
			return discover.ReadFile(name, opt), nil
		}
		open = func() (stdio.Reader, error) { return os.Open(name) }
	}
	return func(yield func(inventory.Target, error) bool) {
		r := patiently(ctx, open)
		defer r.Close()
		discover.Read(name, r, opt)(yield)
	}, nil
}

func joined[T ~string](list []T) string {
	words := make([]string, len(list))
	for i, w := range list {
		words[i] = string(w)
	}
	return strings.Join(words, ", ")
}

// withDefaults adds to labels those of defaults that it lacks.
func withDefaults(labels, defaults map[string]string) map[string]string {
	if len(defaults) == 0 {
		return labels
	}
	all := maps.Clone(defaults)
	maps.Copy(all, labels)
	return all
}

// unread tells how many rows were no targets, if any were.
func unread(badRows int, before string) string {
	switch badRows {
	case 0:
		return ""
	case 1:
		return before + "1 row of the lists could not be read: correct it, and scan again"
	}
	return fmt.Sprintf("%s%d rows of the lists could not be read: correct them, and scan again", before, badRows)
}
