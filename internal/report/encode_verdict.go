package report

import (
	"time"

	"example.com/certscan/internal/inventory"
)

func (e *recordEncoder) verdict(key string, v *inventory.Verdict) {
	if v == nil {
		e.null(key)
		return
	}
	status := func(key string, s inventory.StatusOnly) {
		e.object(key)
		e.text("status", s.Status)
		e.close()
	}
	e.object(key)
	status("time", v.Time)
	status("name", v.Name)
	e.object("trust")
	e.text("status", string(v.Trust.Status))
	e.text("decided_by", v.Trust.DecidedBy)
	e.list("stores")
	for i := range v.Trust.Stores {
		e.store(&v.Trust.Stores[i])
	}
	e.end()
	e.close()
	e.revocation(&v.Revocation)
	e.ct(&v.CT)
	e.close()
}

func (e *recordEncoder) revocation(r *inventory.RevocationVerdict) {
	e.object("revocation")
	e.text("status", r.Status)
	e.text("source", r.Source)
	e.text("reason", r.Reason)
	e.optional("detail", r.Detail)
	e.known("revoked_at", r.RevokedAt)
	e.known("checked_at", r.CheckedAt)
	e.answers(r.Answers)
	if len(r.Intermediates) > 0 {
		e.list("intermediates")
		for _, i := range r.Intermediates {
			e.comma()
			e.open()
			e.key("sha256")
			e.fingerprint(i.SHA256)
			e.text("subject", i.Subject)
			e.text("status", i.Status)
			e.text("source", i.Source)
			e.text("reason", i.Reason)
			e.known("revoked_at", i.RevokedAt)
			e.answers(i.Answers)
			e.close()
		}
		e.end()
	}
	e.close()
}

func (e *recordEncoder) answers(all []inventory.RevocationAnswer) {
	if len(all) == 0 {
		return
	}
	e.list("answers")
	for i := range all {
		a := &all[i]
		e.comma()
		e.open()
		e.text("source", a.Source)
		e.optional("url", a.URL)
		e.text("status", a.Status)
		e.text("reason", a.Reason)
		e.optional("detail", a.Detail)
		e.mark("listed", a.Listed)
		e.known("revoked_at", a.RevokedAt)
		e.known("this_update", a.ThisUpdate)
		e.known("next_update", a.NextUpdate)
		e.close()
	}
	e.end()
}

func (e *recordEncoder) ct(c *inventory.CTVerdict) {
	e.object("ct")
	e.text("status", c.Status)
	e.optional("detail", c.Detail)
	e.optional("log_list_date", c.ListDate)
	if len(c.SCTs) > 0 {
		e.list("scts")
		for i := range c.SCTs {
			s := &c.SCTs[i]
			e.comma()
			e.open()
			e.text("source", s.Source)
			e.text("log_id", s.LogID)
			e.text("log", s.Log)
			e.text("operator", s.Operator)
			e.known("timestamp", s.Timestamp)
			e.text("status", s.Status)
			e.optional("detail", s.Detail)
			e.close()
		}
		e.end()
	}
	e.close()
}

// known writes a time unless it is zero.
func (e *recordEncoder) known(key string, t time.Time) {
	if !t.IsZero() {
		e.time(key, t)
	}
}

func (e *recordEncoder) store(s *inventory.StoreVerdict) {
	e.comma()
	e.open()
	e.text("name", s.Name)
	e.text("date", s.Date)
	e.text("status", string(s.Status))
	e.optional("detail", s.Detail)
	e.list("paths")
	for _, p := range s.Paths {
		e.comma()
		e.b = append(e.b, '[')
		for _, f := range p {
			e.comma()
			e.fingerprint(f)
		}
		e.end()
	}
	e.end()
	e.close()
}
