package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"iter"
	"time"

	"example.com/certscan/internal/inventory"
)

// maxSteps bounds the history of one finding.
const maxSteps = 64

// An openFinding is a finding as stored.
type openFinding struct {
	id      int64
	opened  int64
	message string
	ignored string
	step    inventory.FindingStep // its present severity and tier
}

// judgements are the findings of every subject that was judged.
type judgements struct {
	subjects map[inventory.Subject]bool
	found    []found
}

// found is a finding in a result, so that its Since can be filled in.
type found struct {
	f    *inventory.Finding
	tier inventory.Tier
}

func (j *judgements) subject(s inventory.Subject) {
	if j.subjects == nil {
		j.subjects = make(map[inventory.Subject]bool)
	}
	j.subjects[s] = true
}

func (j *judgements) add(of *inventory.Judgement, v inventory.View) {
	j.subject(inventory.Subject{Kind: inventory.SubjectView, ID: v.ID()})
	j.all(of.Findings, of.Tier)
}

func (j *judgements) addTarget(of *inventory.TargetJudgement, key string) {
	j.subject(inventory.Subject{Kind: inventory.SubjectTarget, ID: key})
	j.all(of.Findings, of.Tier)
}

func (j *judgements) all(findings []inventory.Finding, tier inventory.Tier) {
	for i := range findings {
		f := found{f: &findings[i]}
		switch f.f.Code {
		case inventory.CodeExpiring, inventory.CodeChainExpiring, inventory.CodeExpired:
			f.tier = tier
		}
		j.found = append(j.found, f)
	}
}

// openFindings returns the open findings of targets, by target.
func (w *writer) openFindings(targets []string) (map[string]map[inventory.FindingKey]*openFinding, error) {
	list, err := json.Marshal(targets)
	if err != nil {
		return nil, err
	}
	open := make(map[string]map[inventory.FindingKey]*openFinding)
	err = w.each(`
		SELECT f.id, f.target, f.code, f.rule, f.subject_kind, f.subject_id, f.severity, f.message, f.tier, f.ignored, f.opened
		FROM json_each(?) AS j
		CROSS JOIN finding AS f ON f.target = j.value AND f.closed IS NULL`,
		[]any{string(list)}, func(rows *sql.Rows) error {
			var (
				o      openFinding
				key    inventory.FindingKey
				target string
			)
			if err := rows.Scan(&o.id, &target, &key.Code, &key.Rule, &key.Subject.Kind, &key.Subject.ID,
				&o.step.Severity, &o.message, &o.step.Tier, &o.ignored, &o.opened); err != nil {
				return err
			}
			if open[target] == nil {
				open[target] = make(map[inventory.FindingKey]*openFinding)
			}
			open[target][key] = &o
			return nil
		})
	return open, err
}

// findings opens, updates and closes the findings of one target. gone are the
// views that have just been retired, with the reason.
func (b *batch) findings(target string, judged judgements, gone map[string]string, at int64) error {
	open := b.open[target]
	if len(open) == 0 && len(judged.found) == 0 {
		return nil
	}
	if open == nil {
		open = make(map[inventory.FindingKey]*openFinding)
		b.open[target] = open
	}
	for _, o := range open {
		if o.opened > max(at, b.now) { // by a clock that was ahead
			o.opened = at
			if _, err := b.w.exec(`UPDATE finding SET opened = ? WHERE id = ?`, o.opened, o.id); err != nil {
				return err
			}
		}
	}
	seen := make(map[inventory.FindingKey]bool, len(judged.found))
	for _, f := range judged.found {
		key := f.f.Key()
		if _, retired := gone[key.Subject.ID]; retired || seen[key] {
			continue
		}
		seen[key] = true
		o, err := b.w.keepFinding(target, f, open[key], at)
		if err != nil {
			return fmt.Errorf("%s: %w", key.Code, err)
		}
		open[key] = o
		f.f.Since = fromMillis(o.opened)
	}
	for key, o := range open {
		reason := inventory.ReasonGone
		if why, retired := gone[key.Subject.ID]; retired {
			reason = why
		} else if seen[key] || !judged.subjects[key.Subject] {
			continue
		}
		if err := b.w.closeFinding(o, reason, at); err != nil {
			return fmt.Errorf("%s: %w", key.Code, err)
		}
		delete(open, key)
	}
	return nil
}

func (w *writer) keepFinding(target string, f found, o *openFinding, at int64) (*openFinding, error) {
	message := clip(f.f.Message, maxText)
	step := inventory.FindingStep{Severity: f.f.Severity, Tier: f.tier}
	if o == nil {
		o = &openFinding{opened: at, message: message, ignored: f.f.Ignored, step: step}
		var err error
		o.id, err = w.insert(`
			INSERT INTO finding (code, rule, subject_kind, subject_id, target, severity, message, tier, ignored, steps, opened, reason)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, '', ?, '')`,
			string(f.f.Code), f.f.Rule, string(f.f.Subject.Kind), f.f.Subject.ID, target,
			string(step.Severity), message, string(step.Tier), o.ignored, at)
		return o, err
	}
	if o.message == message && o.ignored == f.f.Ignored && o.step == step {
		return o, nil
	}
	if o.step != step {
		if err := w.addStep(o, at); err != nil {
			return nil, err
		}
	}
	o.message, o.ignored, o.step = message, f.f.Ignored, step
	_, err := w.exec(`UPDATE finding SET severity = ?, message = ?, tier = ?, ignored = ? WHERE id = ?`,
		string(step.Severity), message, string(step.Tier), o.ignored, o.id)
	return o, err
}

// addStep keeps what o was until now.
func (w *writer) addStep(o *openFinding, at int64) error {
	var text string
	if err := w.one(`SELECT steps FROM finding WHERE id = ?`, []any{o.id}, &text); err != nil {
		return err
	}
	steps, err := decodeSteps(text)
	if err != nil {
		return err
	}
	past := o.step
	past.Until = fromMillis(at)
	steps = append(steps, past)
	encoded, err := jsonText(steps[max(0, len(steps)-maxSteps):])
	if err != nil {
		return err
	}
	_, err = w.exec(`UPDATE finding SET steps = ? WHERE id = ?`, encoded, o.id)
	return err
}

func decodeSteps(text string) (steps []inventory.FindingStep, err error) {
	if text == "" {
		return nil, nil
	}
	if err := json.Unmarshal([]byte(text), &steps); err != nil {
		return nil, fmt.Errorf("steps of a finding: %w", err)
	}
	return steps, nil
}

func (w *writer) closeFinding(o *openFinding, reason string, at int64) error {
	_, err := w.exec(`UPDATE finding SET closed = ?, reason = ? WHERE id = ?`, max(at, o.opened), reason, o.id)
	return err
}

// RecordFleet stores the findings that belong to no single target, and writes
// into them since when they have been open. One that is open and not among them
// is closed, unless it is about a certificate that this scan had no part in: one
// that is served only by views which were not examined since the scan began.
func (d *DB) RecordFleet(ctx context.Context, findings []inventory.Finding) error {
	return d.write(ctx, "record findings of the fleet", func(w *writer) error {
		open, err := w.openFindings([]string{""})
		if err != nil {
			return err
		}
		at := w.lastProbe
		if w.scanStarted == 0 || at == 0 {
			at = millis(d.now())
		}
		seen := make(map[inventory.FindingKey]bool, len(findings))
		for i := range findings {
			f := &findings[i]
			seen[f.Key()] = true
			o, err := w.keepFinding("", found{f: f}, open[""][f.Key()], at)
			if err != nil {
				return fmt.Errorf("%s: %w", f.Code, err)
			}
			f.Since = fromMillis(o.opened)
		}
		absent := make(map[inventory.FindingKey]*openFinding)
		for key, o := range open[""] {
			if !seen[key] {
				absent[key] = o
			}
		}
		elsewhere, err := w.servedElsewhere(absent)
		if err != nil {
			return err
		}
		for key, o := range absent {
			if elsewhere[key.Subject.ID] {
				continue
			}
			if err := w.closeFinding(o, inventory.ReasonGone, at); err != nil {
				return err
			}
		}
		return nil
	})
}

// servedElsewhere returns the certificates among the subjects of findings that
// current views serve, none of which was examined since the running scan began.
func (w *writer) servedElsewhere(findings map[inventory.FindingKey]*openFinding) (map[string]bool, error) {
	var ids []string
	for key := range findings {
		if key.Subject.Kind == inventory.SubjectCertificate {
			ids = append(ids, key.Subject.ID)
		}
	}
	if len(ids) == 0 || w.scanStarted == 0 {
		return nil, nil
	}
	list, err := json.Marshal(ids)
	if err != nil {
		return nil, err
	}
	elsewhere := make(map[string]bool)
	err = w.each(`
		SELECT lower(hex(substr(c.certificates, 1, 32))) AS leaf
		FROM view AS v JOIN chain AS c ON c.id = v.chain
		WHERE v.retired IS NULL AND leaf IN (SELECT value FROM json_each(?))
		GROUP BY leaf HAVING max(v.last_seen) < ?`, []any{string(list), w.scanStarted}, func(rows *sql.Rows) error {
		var id string
		err := rows.Scan(&id)
		elsewhere[id] = true
		return err
	})
	return elsewhere, err
}

// Findings returns the findings that were open at some time from since to
// until, in the order in which they opened. A zero time does not bound.
func (d *DB) Findings(ctx context.Context, since, until time.Time) iter.Seq2[inventory.FindingSpan, error] {
	query, args := `
		SELECT code, rule, subject_kind, subject_id, target, severity, message, tier, ignored, steps, opened, closed, reason
		FROM finding WHERE 1`, []any{}
	if !since.IsZero() {
		query += ` AND (closed IS NULL OR closed > ?)`
		args = append(args, millis(since))
	}
	if !until.IsZero() {
		query += ` AND opened <= ?`
		args = append(args, millis(until))
	}
	return func(yield func(inventory.FindingSpan, error) bool) {
		rows, err := d.r.QueryContext(ctx, query+` ORDER BY opened, target, subject_kind, subject_id, code, rule`, args...)
		if err != nil {
			yield(inventory.FindingSpan{}, d.explain("list findings", err))
			return
		}
		defer rows.Close()
		for rows.Next() {
			s, err := scanFinding(rows)
			if err != nil {
				yield(s, d.explain("list findings", err))
				return
			}
			if !yield(s, nil) {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(inventory.FindingSpan{}, d.explain("list findings", err))
		}
	}
}

func scanFinding(rows *sql.Rows) (s inventory.FindingSpan, err error) {
	var (
		steps  string
		opened int64
		closed sql.NullInt64
	)
	f := &s.Finding
	if err := rows.Scan(&f.Code, &f.Rule, &f.Subject.Kind, &f.Subject.ID, &s.Target, &f.Severity, &f.Message, &s.Tier, &f.Ignored,
		&steps, &opened, &closed, &s.Reason); err != nil {
		return s, err
	}
	s.Opened, s.Closed = fromMillis(opened), fromMillis(closed.Int64)
	f.Since = s.Opened
	s.Steps, err = decodeSteps(steps)
	return s, err
}

// OpenFindings returns the findings that are open now.
func (d *DB) OpenFindings(ctx context.Context) iter.Seq2[inventory.FindingSpan, error] {
	all := d.Findings(ctx, d.now(), time.Time{})
	return func(yield func(inventory.FindingSpan, error) bool) {
		for s, err := range all {
			if (err != nil || s.Closed.IsZero()) && !yield(s, err) {
				return
			}
		}
	}
}
