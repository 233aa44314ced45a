package main

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/report"
	"example.com/certscan/internal/verify"
)

func newShowCommand(io streams) *cobra.Command {
	var f struct {
		judgeFlags
		storeFlags
		outputFlags
	}
	var pem bool
	cmd := &cobra.Command{
		Use:   "show TARGET|SHA256",
		Short: "Show everything that is known of a target or a certificate",
		Example: `  certscan show shop.example.com
  certscan show 3f0a9c11 --pem | openssl x509 -noout -text`,
		Args: oneArgument("a target or a SHA-256"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.outputFlags.check(); err != nil {
				return err
			}
			h, err := openHistory(cmd.Context(), io, f.storeFlags, f.judgeFlags)
			if err != nil {
				return err
			}
			defer h.Close()
			s := shower{io: io, flags: f.outputFlags, h: h, pem: pem}
			if q, err := inventory.ParseQuery(args[0]); err == nil && q.Digest != "" {
				der, first, err := h.Certificate(cmd.Context(), q.Digest)
				if err == nil {
					return s.certificate(cmd.Context(), der, verify.Parse(der), first)
				}
				if !errors.Is(err, inventory.ErrUnknownCertificate) {
					return err
				}
			}
			return s.target(cmd.Context(), args[0])
		},
	}
	cmd.Flags().BoolVar(&pem, "pem", false, "print the certificate, or what the target serves, as PEM")
	f.judgeFlags.add(cmd.Flags(), verify.ProfileAuto)
	f.outputFlags.add(cmd.Flags(), "table", "json")
	f.storeFlags.add(cmd.Flags())
	return cmd
}

// shower answers show.
type shower struct {
	io    streams
	flags outputFlags
	h     *history
	pem   bool
}

// write gives the answer to what writes it.
func (s shower) write(text func(w writer, opt report.Options) error, value any, ders ...[]byte) error {
	return list(s.io, s.flags, s.h, func(w writer, opt report.Options) error {
		switch {
		case s.pem:
			for _, der := range ders {
				if err := pem.Encode(w, &pem.Block{Type: "CERTIFICATE", Bytes: der}); err != nil {
					return err
				}
			}
			return nil
		case s.flags.format == "json":
			return report.JSON(w, value, "  ")
		}
		return text(w, opt)
	})
}

// certificate shows one certificate: itself, its paths, and who serves it.
func (s shower) certificate(ctx context.Context, der []byte, c inventory.Certificate, first time.Time) error {
	served, err := s.h.Where(ctx, inventory.Query{Digest: c.SHA256.String()})
	if err != nil {
		return err
	}
	chain, err := s.servedWith(ctx, der, served)
	if err != nil {
		return err
	}
	facts := inventory.Facts{Observation: inventory.Observation{
		Offer: inventory.OfferDefault, Reach: inventory.Reach{Status: inventory.ReachOK}, Chain: append([][]byte{der}, chain...),
	}}
	j, err := judgeFacts(ctx, s.h.evidence, s.h.judge, facts, s.h.at)
	if err != nil {
		return err
	}
	var places []report.Place
	for _, p := range served {
		places = append(places, report.Place{Serving: p, Expires: c.NotAfter})
	}
	value := struct {
		Schema      int                   `json:"schema"`
		Certificate inventory.Certificate `json:"certificate"`
		FirstSeen   time.Time             `json:"first_seen"`
		Verdict     *inventory.Verdict    `json:"verdict"`
		ServedBy    []inventory.Serving   `json:"served_by"`
	}{inventory.RecordSchema, c, first, j.Verdict, append([]inventory.Serving{}, served...)}
	return s.write(func(w writer, opt report.Options) error {
		if err := report.Tree(w, c, nil, j.Verdict.Trust.Stores, opt); err != nil {
			return err
		}
		fmt.Fprintf(w, "\nFirst seen %s. ", first.Format(time.DateTime))
		if len(places) == 0 {
			_, err := fmt.Fprintln(w, "No current endpoint serves it.")
			return err
		}
		fmt.Fprint(w, "Served by:\n\n")
		return report.Where(w, "table", places, opt)
	}, value, der)
}

// servedWith returns the certificates that the first place which serves der
// sends along with it: without them there may be no path to judge.
func (s shower) servedWith(ctx context.Context, der []byte, served []inventory.Serving) ([][]byte, error) {
	if len(served) == 0 {
		return nil, nil
	}
	st, err := s.h.Target(ctx, served[0].View.Target)
	if err != nil {
		return nil, err
	}
	var rest [][]byte
	for _, v := range st.Views {
		if v.Facts.Observation.View() != served[0].View {
			continue
		}
		for _, other := range slices.Concat(v.Facts.Observation.Chain, v.Facts.LastChain) {
			if !slices.Equal(other, der) {
				rest = append(rest, other)
			}
		}
	}
	return rest, nil
}

// target shows a target: its views, findings and chains.
func (s shower) target(ctx context.Context, name string) error {
	st, err := byName(ctx, s.h, name, s.h.lastKnown)
	if err != nil {
		return err
	}
	if !st.Until.IsZero() && s.h.past.IsZero() {
		s.h.at = st.Until.Add(-time.Millisecond) // with the findings of then, which closed with the watch
	}
	r, err := s.h.result(ctx, st.StoredTarget)
	if err != nil {
		return err
	}
	var ders [][]byte
	value := struct {
		Schema    int                        `json:"schema"`
		Target    inventory.TargetRecord     `json:"target"`
		FirstSeen time.Time                  `json:"first_seen"`
		Until     *time.Time                 `json:"watched_until"` // null: it still is
		Endpoints []inventory.EndpointRecord `json:"endpoints"`
		Served    [][]inventory.Certificate  `json:"served"` // in full, for each endpoint, leaf first
	}{inventory.RecordSchema, inventory.NewTargetRecord(r), st.FirstSeen, nil, []inventory.EndpointRecord{}, [][]inventory.Certificate{}}
	if !st.Until.IsZero() {
		value.Until = &st.Until
	}
	for _, e := range r.Endpoints {
		value.Endpoints = append(value.Endpoints, inventory.NewEndpointRecord(r.Target, e))
		served := []inventory.Certificate{}
		if e.Judgement.Certificate != nil {
			served = append(served, *e.Judgement.Certificate)
		}
		value.Served = append(value.Served, append(served, e.Judgement.Chain...))
		for _, der := range e.Observation.Chain {
			if !slices.ContainsFunc(ders, func(d []byte) bool { return slices.Equal(d, der) }) {
				ders = append(ders, der)
			}
		}
	}
	switch {
	case s.pem && len(ders) == 0:
		return errors.New("nothing is known to be served by " + st.Target.Key() + " now: certscan history shows what was")
	case s.pem && !st.Until.IsZero():
		noter(s.io)("%s is not watched since %s: this is what it served then", st.Target.Key(), st.Until.Format(time.DateTime))
	}
	return s.write(func(w writer, opt report.Options) error { return showTarget(w, st, r, opt) }, value, ders...)
}

// A knownTarget is a target in the history.
type knownTarget struct {
	inventory.StoredTarget
	Until time.Time // when it was forgotten, and as it was then; zero if it is watched
}

// lastKnown returns a target, also a forgotten one.
func (h *history) lastKnown(ctx context.Context, key string) (knownTarget, error) {
	st, err := h.Target(ctx, key)
	if !errors.Is(err, inventory.ErrUnknownTarget) {
		return knownTarget{StoredTarget: st}, err
	}
	st, until, err := h.Forgotten(ctx, key)
	return knownTarget{st, until}, err
}

func showTarget(w writer, st knownTarget, r inventory.Result, opt report.Options) error {
	line := func(name, value string) {
		if value != "" {
			report.Fact(w, report.Clean(name), report.Clean(value), opt)
		}
	}
	line("Target", r.Target.Key())
	for _, k := range slices.Sorted(keysOf(r.Target.Labels)) {
		first, n := utf8.DecodeRuneInString(k)
		line(string(unicode.ToUpper(first))+k[n:], r.Target.Labels[k])
	}
	line("Listed by", strings.Join(r.Target.Sources, ", "))
	line("Known since", st.FirstSeen.Format(time.DateTime))
	if !st.Until.IsZero() {
		line("Watched until", st.Until.Format(time.DateTime)+"; this is as it was then")
	}
	if x := r.Judgement.Expiry; x != nil {
		line("Expires", strings.TrimSpace(fmt.Sprintf("%s, by %s %s", x.At.Format(time.DateTime), x.By, x.Subject)))
	}
	findings(w, r.Judgement.Findings, opt)

	shown := make(map[inventory.Fingerprint]string) // chain to the view that it was drawn for
	for i, e := range r.Endpoints {
		o, v := e.Observation, st.Views[i]
		fmt.Fprintln(w)
		line("View", fmt.Sprintf("%s, %s offer, from %s", orName(o.Address, "no address"), o.Offer, o.Location))
		line("Reach", strings.TrimSpace(string(o.Reach.Status)+" "+o.Reach.Detail))
		if t := o.TLS; t != nil {
			line("TLS", strings.Join(nonEmpty(t.Version, t.CipherSuite, t.Group, t.ALPN), ", "))
		}
		line("Seen", fmt.Sprintf("%d times like this, since %s, last %s", v.Count, v.FirstSeen.Format(time.DateTime), v.LastProbe.Format(time.DateTime)))
		findings(w, e.Judgement.Findings, opt)
		if e.Judgement.Certificate == nil {
			continue
		}
		id := inventory.ChainID(o.Chain)
		if before, ok := shown[id]; ok && len(o.Chain) > 0 {
			line("Serves", "the same as "+before)
			continue
		}
		shown[id] = orName(o.Address, "no address") + ", " + string(o.Offer) + " offer"
		if !e.Judgement.LastSeen.IsZero() {
			line("Last served", e.Judgement.LastSeen.Format(time.DateTime))
		}
		revocationLine(w, e.Judgement.Verdict, opt)
		timestamps(w, e.Judgement.Verdict, opt)
		fmt.Fprintln(w)
		if err := report.Tree(w, *e.Judgement.Certificate, e.Judgement.Chain, e.Judgement.Verdict.Trust.Stores, opt); err != nil {
			return err
		}
	}
	return nil
}

// findings writes one paragraph for each finding.
func findings(w writer, list []inventory.Finding, opt report.Options) {
	for _, f := range list {
		since := ""
		if !f.Since.IsZero() {
			since = ", since " + f.Since.Format(time.DateTime)
		}
		report.Fact(w, "Finding", fmt.Sprintf("%s: %s (%s%s%s)", codeAndRule(f), report.Clean(f.Message), f.Severity, since, waivedNote(f)), opt)
	}
}

func orName(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func nonEmpty(list ...string) []string {
	return slices.DeleteFunc(list, func(s string) bool { return s == "" })
}
