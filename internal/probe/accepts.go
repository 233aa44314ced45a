package probe

import (
	"context"
	"crypto/ecdh"
	"crypto/mlkem"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"example.com/certscan/internal/inventory"
)

// mostSilent is how many questions may go unanswered before the rest are not
// asked: each costs a whole timeout.
const mostSilent = 2

// enumerationBudget bounds all questions together, in timeouts: a server that
// answers each just in time holds nobody for minutes.
const enumerationBudget = 4

// smallDH is the size below which a group for DHE counts as small, in bits.
const smallDH = 2048

// The groups with ML-KEM (IANA registry "TLS Supported Groups").
const (
	groupSecP256r1MLKEM768  = 0x11eb
	groupX25519MLKEM768     = 0x11ec
	groupSecP384r1MLKEM1024 = 0x11ed
)

// A question is one ClientHello and what the answer to it means.
type question struct {
	word  string
	hello func() (clientHello, error)

	// yes reports whether the server's hello says that it takes what was
	// offered, and nothing else.
	yes func(h *serverHello) bool

	// dh asks for the size of the group, too.
	dh bool
}

// An answer to a question. A peer that hangs up has answered if it still talks
// to those who ask for something else.
type answer int

const (
	answerUnknown answer = iota
	answerSilent         // nothing came in time
	answerHungUp
	answerNo
	answerYes
)

// Accepts asks a server what it takes besides what it likes best, with one
// connection and one small ClientHello for each question, one after the other,
// and reads no further than the ServerHello (or, for the size of a DHE group, the
// ServerKeyExchange). timeout bounds each question, and four times that all of
// them together, waiting for turns left out. Before each, turn is called
// and waits until there may be another connection; the caller is told how it
// went. Once turn fails or ctx has ended, what is left is unknown.
func (p *Prober) Accepts(ctx context.Context, req inventory.ProbeRequest, timeout time.Duration, turn func(context.Context) (func(inventory.ReachStatus), error)) inventory.Accepted {
	e := enumeration{p: p, req: req, timeout: timeout, turn: turn, answers: make(map[string]answer)}
	if e.req.Target.Protocol == "" {
		e.req.Target.Protocol = inventory.TLS
	}
	for _, q := range versionQuestions() {
		e.ask(ctx, q)
	}
	legacy := slices.ContainsFunc([]string{inventory.AcceptsSSL30, inventory.AcceptsTLS10, inventory.AcceptsTLS11, inventory.AcceptsTLS12},
		func(w string) bool { return e.answers[w] != answerNo })
	for _, q := range classQuestions() {
		if !legacy {
			e.answers[q.word] = answerNo // TLS 1.3 has none of it
			continue
		}
		e.ask(ctx, q)
	}
	pq := postQuantumQuestion()
	if e.answers[inventory.AcceptsTLS13] == answerNo {
		e.answers[pq.word] = answerNo
	} else {
		e.ask(ctx, pq)
	}
	e.control(ctx)
	return e.result(pq.word)
}

type enumeration struct {
	p       *Prober
	req     inventory.ProbeRequest
	timeout time.Duration
	turn    func(context.Context) (func(inventory.ReachStatus), error)

	answers map[string]answer
	silent  int
	spent   time.Duration // on questions
	ended   bool          // no further questions
}

func (e *enumeration) ask(ctx context.Context, q question) {
	left := enumerationBudget*e.timeout - e.spent
	if e.ended || e.silent >= mostSilent || left <= 0 || ctx.Err() != nil {
		return // unknown
	}
	leave, err := e.turn(ctx)
	if err != nil {
		e.ended = true
		return
	}
	start := time.Now()
	defer func() { e.spent += time.Since(start) }()
	qctx, cancel := context.WithTimeout(ctx, min(e.timeout, left))
	defer cancel()
	deadline, _ := qctx.Deadline()
	j := job{p: e.p, ctx: qctx, deadline: deadline, req: e.req, serverName: e.req.Target.ServerName()}
	a, status := j.guardedQuestion(q)
	leave(status)
	if a == answerSilent {
		e.silent++
	}
	e.answers[q.word] = a
}

// guardedQuestion is question for [job.guarded]'s reason.
func (j *job) guardedQuestion(q question) (a answer, status inventory.ReachStatus) {
	defer func() {
		if recover() != nil {
			a, status = answerUnknown, inventory.ReachLocalError
		}
	}()
	return j.question(q)
}

// control asks again for a version that was taken, if the peer has hung up
// before: whoever still answers that meant no, and whoever does not has stopped
// listening to us, which says nothing.
func (e *enumeration) control(ctx context.Context) {
	meant := answerUnknown
	hungUp := false
	for _, a := range e.answers {
		hungUp = hungUp || a == answerHungUp
	}
	if !hungUp {
		return
	}
	for _, q := range versionQuestions() {
		if e.answers[q.word] != answerYes {
			continue
		}
		if e.ask(ctx, q); e.answers[q.word] == answerYes {
			meant = answerNo
		}
		e.answers[q.word] = answerYes
		break
	}
	for word, a := range e.answers {
		if a == answerHungUp {
			e.answers[word] = meant
		}
	}
}

func (e *enumeration) result(postQuantum string) inventory.Accepted {
	out := inventory.Accepted{At: e.p.now(), Words: []string{}}
	for _, word := range inventory.AcceptsWords() {
		switch e.answers[word] {
		case answerYes:
			out.Words = append(out.Words, word)
		case answerNo:
		default:
			out.Unknown = append(out.Unknown, word)
		}
	}
	if a := e.answers[postQuantum]; a == answerYes || a == answerNo {
		yes := a == answerYes
		out.PostQuantum = &yes
	}
	return out
}

// question asks on a connection of its own.
func (j *job) question(q question) (answer, inventory.ReachStatus) {
	hello, err := q.hello()
	if err != nil {
		return answerUnknown, inventory.ReachLocalError
	}
	conn, release, failed := j.connect()
	if failed != nil {
		if failed.Status == inventory.ReachTimeout {
			return answerSilent, failed.Status
		}
		return answerUnknown, failed.Status
	}
	defer release()
	hello.serverName = j.serverName
	_, _ = rand.Read(hello.random[:]) // never fails
	_, _ = rand.Read(hello.session[:])
	msg, err := hello.message()
	if err != nil {
		return answerUnknown, inventory.ReachLocalError
	}
	packet := record(msg)
	if hello.version == versionSSL30 {
		packet[2] = 0
	}
	if _, err := conn.Write(packet); err != nil {
		return answerOf(err)
	}
	return q.read(conn, hello)
}

// read reads the answer as far as the question needs.
func (q question) read(r io.Reader, hello clientHello) (answer, inventory.ReachStatus) {
	in := messages{r: r}
	taken := false
	for {
		typ, msg, err := in.next()
		switch {
		case err != nil && taken:
			return answerUnknown, inventory.ReachOK
		case err != nil:
			return answerOf(err)
		case typ == messageServerHello:
			h, err := parseServerHello(msg[messageHead:])
			if err != nil || !slices.Contains(hello.suites, h.suite) {
				return answerUnknown, inventory.ReachOK // what was not offered is no answer
			}
			switch {
			case !q.yes(h):
				return answerNo, inventory.ReachOK
			case !q.dh:
				return answerYes, inventory.ReachOK
			}
			taken = true
		case typ == messageServerKeyExchange && taken:
			var prime cryptobyte.String
			body := cryptobyte.String(msg[messageHead:])
			switch {
			case !body.ReadUint16LengthPrefixed(&prime):
				return answerUnknown, inventory.ReachOK
			case bits(prime) < smallDH:
				return answerYes, inventory.ReachOK
			}
			return answerNo, inventory.ReachOK
		case typ == messageServerHelloDone:
			return answerUnknown, inventory.ReachOK
		}
	}
}

// bits is the size of a number in octets, the highest first.
func bits(n []byte) int {
	n = []byte(strings.TrimLeft(string(n), "\x00"))
	if len(n) == 0 {
		return 0
	}
	size := 8 * len(n)
	for top := n[0]; top&0x80 == 0; top <<= 1 {
		size--
	}
	return size
}

// answerOf is what the end of a connection without a ServerHello says. An alert
// is an answer unless it is about something else than was offered.
func answerOf(err error) (answer, inventory.ReachStatus) {
	if a, ok := errors.AsType[alertError](err); ok {
		switch a {
		case 80, 90, alertUnrecognizedName: // internal_error, user_canceled
			return answerUnknown, inventory.ReachOK
		}
		return answerNo, inventory.ReachOK
	}
	if !isBroken(err) {
		return answerUnknown, inventory.ReachOK
	}
	switch status := ioReach(err, "").Status; {
	case status == inventory.ReachTimeout:
		return answerSilent, status
	case hungUp(status):
		return answerHungUp, inventory.ReachOK
	default:
		return answerUnknown, status
	}
}

// legacyHello offers suites at one version and every one before that the server
// may fall back to.
func legacyHello(version uint16, suites []uint16) func() (clientHello, error) {
	return func() (clientHello, error) {
		a := legacyList("")
		a.suites = suites
		return clientHello{algorithms: a, version: version, bare: version == versionSSL30}, nil
	}
}

func versionQuestions() []question {
	var all []question
	suites := ids("", commonSuites, rareSuites)
	for _, v := range []struct {
		word    string
		version uint16
	}{
		{inventory.AcceptsTLS12, 0x0303},
		{inventory.AcceptsTLS11, 0x0302},
		{inventory.AcceptsTLS10, 0x0301},
		{inventory.AcceptsSSL30, versionSSL30},
	} {
		all = append(all, question{
			word: v.word, hello: legacyHello(v.version, suites),
			yes: func(h *serverHello) bool { return h.version == v.version },
		})
	}
	return append(all, question{
		word: inventory.AcceptsTLS13,
		hello: func() (clientHello, error) {
			return modernHello(modernList("").groups, 29, nil)
		},
		yes: func(h *serverHello) bool { return h.version == versionTLS13 },
	})
}

// modernHello offers TLS 1.3 with an X25519 share, or with what share makes of
// its public half.
func modernHello(groups []uint16, group uint16, share func(x25519 []byte) ([]byte, error)) (clientHello, error) {
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return clientHello{}, fmt.Errorf("key share: %w", err)
	}
	a := modernList("")
	a.groups = groups
	a.suites = append(a.suites, 0x1304, 0x1305)
	c := clientHello{algorithms: a, group: group, share: key.PublicKey().Bytes()}
	if share != nil {
		c.share, err = share(c.share)
	}
	return c, err
}

// postQuantumQuestion offers nothing but groups with ML-KEM. A
// HelloRetryRequest for one of them is a yes as well.
func postQuantumQuestion() question {
	groups := []uint16{groupX25519MLKEM768, groupSecP256r1MLKEM768, groupSecP384r1MLKEM1024}
	return question{
		word: "post-quantum",
		hello: func() (clientHello, error) {
			return modernHello(groups, groupX25519MLKEM768, func(x25519 []byte) ([]byte, error) {
				key, err := mlkem.GenerateKey768()
				if err != nil {
					return nil, err
				}
				return append(key.EncapsulationKey().Bytes(), x25519...), nil // ML-KEM first: draft-ietf-tls-ecdhe-mlkem
			})
		},
		yes: func(h *serverHello) bool { return h.version == versionTLS13 && slices.Contains(groups, h.group) },
	}
}

// anonymousSuites are those without any certificate.
func anonymousSuites() []uint16 {
	return []uint16{
		0xc018, 0xc019, 0xc017, 0xc016, 0xc015, 0x00a6, 0x00a7, 0x006c, 0x006d, 0x0034, 0x003a, 0x001b, 0x001a, 0x0018, 0x0019, 0x0017,
	}
}

// classQuestions are about suites of TLS 1.2 and before. Their hellos offer
// nothing else, so whatever the server picks is a yes.
func classQuestions() []question {
	of := func(is func(name string) bool) []uint16 {
		var list []uint16
		for _, table := range [][]suite{commonSuites, rareSuites} {
			for _, s := range table {
				if is(s.name) {
					list = append(list, s.id)
				}
			}
		}
		return list
	}
	has := func(part string) func(string) bool {
		return func(name string) bool { return strings.Contains(name, part) && !strings.Contains(name, "EXPORT") }
	}
	var all []question
	for _, c := range []struct {
		word   string
		suites []uint16
	}{
		{inventory.Accepts3DES, of(has("_3DES_"))},
		{inventory.AcceptsRC4, of(has("_RC4_"))},
		{inventory.AcceptsDES, of(has("_WITH_DES_"))},
		{inventory.AcceptsExport, of(func(name string) bool { return strings.Contains(name, "EXPORT") })},
		{inventory.AcceptsNULL, of(has("_WITH_NULL_"))},
		{inventory.AcceptsAnonymous, anonymousSuites()},
		{inventory.AcceptsRSAKeyExchange, of(func(name string) bool { return strings.HasPrefix(name, "TLS_RSA_WITH_") })},
		{inventory.AcceptsCBCSHA1, of(func(name string) bool { return strings.HasSuffix(name, "_CBC_SHA") && has("_")(name) })},
		{inventory.AcceptsSmallDH, of(has("_DHE_"))},
	} {
		all = append(all, question{
			word: c.word, hello: legacyHello(0x0303, c.suites), dh: c.word == inventory.AcceptsSmallDH,
			yes: func(*serverHello) bool { return true },
		})
	}
	return all
}
