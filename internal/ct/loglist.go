// Package ct reads lists of Certificate Transparency logs.
//
// It talks to no log and judges nothing. Its one invariant: a log that is in a
// list it returns has a usable key, of which its ID is the SHA-256, and is in
// one state.
package ct

import (
	"bytes"
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"example.com/certscan/internal/inventory"
)

// Limits of what is read. The lists of the browsers have some 60 logs in 80 KB.
const (
	MaxListSize = 8 << 20 // octets
	maxLogs     = 4096
)

// jsonList is a list as Chrome publishes it, schema version 3. Unknown fields
// are for others.
type jsonList struct {
	Version   string         `json:"version"`
	Date      *time.Time     `json:"log_list_timestamp"`
	Operators []jsonOperator `json:"operators"`
}

// jsonOperator keeps its logs raw, so that a bad one costs only itself.
type jsonOperator struct {
	Name      string            `json:"name"`
	Logs      []json.RawMessage `json:"logs"`
	TiledLogs []json.RawMessage `json:"tiled_logs"`
}

type jsonLog struct {
	Description string               `json:"description"`
	LogID       []byte               `json:"log_id"`
	Key         []byte               `json:"key"`
	URL         string               `json:"url"`            // of logs
	Submission  string               `json:"submission_url"` // of tiled logs
	Monitoring  string               `json:"monitoring_url"`
	MMD         int64                `json:"mmd"` // seconds
	State       map[string]jsonState `json:"state"`
	Interval    *jsonInterval        `json:"temporal_interval"`
	Former      []jsonFormer         `json:"previous_operators"`
}

type jsonState struct {
	Since time.Time `json:"timestamp"`
}

type jsonInterval struct {
	Start time.Time `json:"start_inclusive"`
	End   time.Time `json:"end_exclusive"`
}

type jsonFormer struct {
	Name  string    `json:"name"`
	Until time.Time `json:"end_time"`
}

// ReadLogList is [ParseLogList] of all that r has.
func ReadLogList(r io.Reader) (inventory.LogList, []error, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxListSize+1))
	if err != nil {
		return inventory.LogList{}, nil, err
	}
	return ParseLogList(data)
}

// ParseLogList reads a list of the version 3 format. A log that cannot be used
// is left out, with a problem that names it; the error is for what is no list,
// or one without a log.
func ParseLogList(data []byte) (list inventory.LogList, problems []error, err error) {
	if len(data) > MaxListSize {
		return list, nil, fmt.Errorf("larger than %d octets, so not a list of logs", MaxListSize)
	}
	var in jsonList
	if err := json.Unmarshal(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")), &in); err != nil {
		return list, nil, fmt.Errorf("not a list of logs in JSON: %w", err)
	}
	list.Version = in.Version
	if in.Date != nil {
		list.Date = in.Date.UTC()
	}
	list.Logs = make(map[inventory.Fingerprint]inventory.Log)
	add := func(raw json.RawMessage, operator string, tiled bool) {
		log, err := parseLog(raw, operator, tiled)
		if err == nil && len(list.Logs) >= maxLogs {
			err = fmt.Errorf("there are more than %d logs", maxLogs)
		}
		if _, twice := list.Logs[log.ID]; twice && err == nil {
			err = errors.New("its ID is in the list twice; the first counts")
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("log %q of operator %q: %w", name(raw), operator, err))
			return
		}
		list.Logs[log.ID] = log
	}
	for _, op := range in.Operators {
		for _, raw := range op.Logs {
			add(raw, op.Name, false)
		}
		for _, raw := range op.TiledLogs {
			add(raw, op.Name, true)
		}
	}
	if len(list.Logs) == 0 {
		return list, problems, errors.Join(append([]error{errors.New("no log in it that can be used")}, problems...)...)
	}
	return list, problems, nil
}

// name is what to call a log of which perhaps nothing else can be read.
func name(raw json.RawMessage) string {
	var log struct {
		Description string `json:"description"`
	}
	_ = json.Unmarshal(raw, &log)
	const longest = 100
	return log.Description[:min(len(log.Description), longest)]
}

func parseLog(raw json.RawMessage, operator string, tiled bool) (log inventory.Log, err error) {
	var in jsonLog
	if err := json.Unmarshal(raw, &in); err != nil {
		return log, err
	}
	log = inventory.Log{
		ID: sha256.Sum256(in.Key), Description: in.Description, Operator: operator, Key: in.Key,
		MMD: time.Duration(in.MMD) * time.Second, URL: in.URL, Tiled: tiled,
	}
	if tiled {
		log.URL, log.Monitoring = in.Submission, in.Monitoring
	}
	if in.MMD < 0 || in.MMD > 10*365*24*3600 {
		return log, fmt.Errorf("a maximum merge delay of %d seconds", in.MMD)
	}
	if !bytes.Equal(in.LogID, log.ID[:]) {
		return log, errors.New("its ID is not the SHA-256 of its key")
	}
	if err := usableKey(in.Key); err != nil {
		return log, err
	}
	if log.State, log.StateSince, err = parseState(in.State); err != nil {
		return log, err
	}
	if in.Interval != nil {
		log.AcceptsFrom, log.AcceptsTo = in.Interval.Start.UTC(), in.Interval.End.UTC()
		if !log.AcceptsFrom.Before(log.AcceptsTo) {
			return log, errors.New("its temporal interval is empty")
		}
	}
	for _, f := range in.Former {
		if f.Name == "" || f.Until.IsZero() {
			return log, errors.New("a former operator without a name or an end")
		}
		log.Operators = append(log.Operators, inventory.LogOperator{Name: f.Name, Until: f.Until.UTC()})
	}
	slices.SortStableFunc(log.Operators, func(a, b inventory.LogOperator) int { return cmp.Compare(a.Until.Unix(), b.Until.Unix()) })
	return log, nil
}

// usableKey accepts the keys that logs may have (RFC 6962, section 2.1.4).
func usableKey(der []byte) error {
	key, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return fmt.Errorf("its key: %w", err)
	}
	switch key := key.(type) {
	case *ecdsa.PublicKey:
		if key.Curve == elliptic.P256() {
			return nil
		}
	case *rsa.PublicKey:
		if n := key.N.BitLen(); n >= 2048 && n <= 8192 {
			return nil
		}
	}
	return errors.New("its key is neither of P-256 nor RSA of 2048 to 8192 bits")
}

// parseState reads the one state that a log is in. Lists for tests may have logs
// without; those count as pending, which is worth nothing.
func parseState(in map[string]jsonState) (inventory.LogState, time.Time, error) {
	if len(in) > 1 {
		return "", time.Time{}, errors.New("it is in more than one state")
	}
	for name, s := range in {
		state := inventory.LogState(name)
		switch state {
		case inventory.LogRetired:
			if s.Since.IsZero() {
				return "", time.Time{}, errors.New("it is retired, and since when is not said")
			}
		case inventory.LogPending, inventory.LogQualified, inventory.LogUsable, inventory.LogReadOnly, inventory.LogRejected:
		default:
			return "", time.Time{}, fmt.Errorf("its state %q is not known", name)
		}
		return state, s.Since.UTC(), nil
	}
	return inventory.LogPending, time.Time{}, nil
}
