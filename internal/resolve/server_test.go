package resolve_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"

	"example.com/certscan/internal/resolve"
)

// inBenchmark makes this binary a DNS server, so that a benchmark measures the
// client's CPU alone.
const inBenchmark = "RESOLVE_TEST_SERVER"

// withoutFiles makes this binary resolve a name with no file descriptor left.
const withoutFiles = "RESOLVE_TEST_NO_FILES"

func TestMain(m *testing.M) {
	if os.Getenv(inBenchmark) != "" {
		benchmarkServer()
		return
	}
	if os.Getenv(withoutFiles) != "" {
		resolveWithoutFiles()
		return
	}
	goleak.VerifyTestMain(m)
}

// A handler answers a question, or returns nil to stay silent. tcp says how it
// came.
type handler func(q *dns.Msg, tcp bool) *dns.Msg

// serve answers on a loopback port over UDP and TCP until the test is over.
func serve(tb testing.TB, h handler) string {
	tb.Helper()
	udp, tcp := listen(tb)
	var wg sync.WaitGroup
	tb.Cleanup(wg.Wait) // the last to be called
	for _, s := range []*dns.Server{
		{PacketConn: udp, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) { write(w, h(q, false)) })},
		{Listener: tcp, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) { write(w, h(q, true)) })},
	} {
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		wg.Go(func() {
			if err := s.ActivateAndServe(); err != nil {
				tb.Errorf("DNS server: %v", err)
			}
		})
		<-started
		tb.Cleanup(func() {
			if err := s.Shutdown(); err != nil {
				tb.Errorf("shut the DNS server down: %v", err)
			}
		})
	}
	return udp.LocalAddr().String()
}

// listen finds a port that is free for both.
func listen(tb testing.TB) (net.PacketConn, net.Listener) {
	tb.Helper()
	var err error
	for range 100 {
		tcp, tcpErr := net.Listen("tcp", "127.0.0.1:0")
		if tcpErr != nil {
			tb.Fatal(tcpErr)
		}
		var udp net.PacketConn
		if udp, err = net.ListenPacket("udp", tcp.Addr().String()); err == nil {
			return udp, tcp
		}
		_ = tcp.Close()
	}
	tb.Fatal(err)
	return nil, nil
}

func write(w dns.ResponseWriter, m *dns.Msg) {
	if m != nil {
		_ = w.WriteMsg(m) // a client that has gone is no fault here
	}
}

// zone answers from records in presentation format, as a recursive resolver
// does. Names that it does not have do not exist.
func zone(records ...string) handler {
	byName := make(map[string][]dns.RR)
	for _, text := range records {
		rr, err := dns.NewRR(text)
		if err != nil {
			panic(fmt.Sprintf("test zone: %v", err))
		}
		name := strings.ToLower(rr.Header().Name)
		byName[name] = append(byName[name], rr)
	}
	return func(q *dns.Msg, _ bool) *dns.Msg {
		m := new(dns.Msg).SetReply(q)
		m.RecursionAvailable = true
		name := strings.ToLower(q.Question[0].Name)
		for range 20 { // so that a loop ends
			rrs, ok := byName[name]
			if !ok {
				m.Rcode = dns.RcodeNameError
			}
			alias := ""
			for _, rr := range rrs {
				if c, ok := rr.(*dns.CNAME); ok {
					m.Answer, alias = append(m.Answer, rr), strings.ToLower(c.Target)
				} else if rr.Header().Rrtype == q.Question[0].Qtype {
					m.Answer = append(m.Answer, rr)
				}
			}
			if alias == "" {
				break
			}
			name = alias
		}
		if len(m.Answer) == 0 || m.Answer[len(m.Answer)-1].Header().Rrtype == dns.TypeCNAME {
			m.Ns = []dns.RR{soa(60)}
		}
		return m
	}
}

func soa(minimum uint32) dns.RR {
	return &dns.SOA{
		Hdr: dns.RR_Header{Name: "test.", Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: 3600},
		Ns:  "ns.test.", Mbox: "root.test.", Minttl: minimum,
	}
}

func rcode(code int) handler {
	return func(q *dns.Msg, _ bool) *dns.Msg { return new(dns.Msg).SetRcode(q, code) }
}

func silent(*dns.Msg, bool) *dns.Msg { return nil }

// counted counts the questions by type, as in "A shop.test.".
type counted struct {
	mu   sync.Mutex
	seen map[string]int
}

func (c *counted) wrap(h handler) handler {
	return func(q *dns.Msg, tcp bool) *dns.Msg {
		c.mu.Lock()
		if c.seen == nil {
			c.seen = make(map[string]int)
		}
		c.seen[dns.TypeToString[q.Question[0].Qtype]+" "+q.Question[0].Name]++
		c.mu.Unlock()
		return h(q, tcp)
	}
}

func (c *counted) total() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, v := range c.seen {
		n += v
	}
	return n
}

func newResolver(tb testing.TB, opt resolve.Options) *resolve.Resolver {
	tb.Helper()
	if opt.Timeout == 0 {
		opt.Timeout = 300 * time.Millisecond
	}
	r, err := resolve.New(opt)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

func addrs(texts ...string) []netip.Addr {
	var out []netip.Addr
	for _, s := range texts {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

// benchmarkServer gives every name one address of each family until standard
// input ends.
func benchmarkServer() {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(conn.LocalAddr())
	s := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		h := dns.RR_Header{Name: q.Question[0].Name, Rrtype: q.Question[0].Qtype, Class: dns.ClassINET, Ttl: 300}
		if h.Rrtype == dns.TypeA {
			m.Answer = []dns.RR{&dns.A{Hdr: h, A: net.IPv4(127, 0, 0, 1)}}
		} else {
			m.Answer = []dns.RR{&dns.AAAA{Hdr: h, AAAA: net.IPv6loopback}}
		}
		write(w, m)
	})}
	go func() {
		_, _ = os.Stdin.Read(make([]byte, 1)) // until the benchmark is over
		_ = s.Shutdown()
	}()
	_ = s.ActivateAndServe()
}

// startBenchmarkServer runs benchmarkServer as a process of its own.
func startBenchmarkServer(b *testing.B) string {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), inBenchmark+"=1")
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	var addr string
	if _, err := fmt.Fscanln(out, &addr); err != nil {
		b.Fatal(err)
	}
	return addr
}

func resolveWithoutFiles() {
	r, err := resolve.New(resolve.Options{Servers: []string{"127.0.0.1"}, Timeout: 10 * time.Millisecond})
	if err == nil {
		_, err = net.ListenPacket("udp", "127.0.0.1:0") // the runtime's poller needs files of its own
	}
	if err == nil {
		err = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 3, Max: 3})
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	res := r.Resolve(context.Background(), "shop.test")
	fmt.Printf("%s: %s", res.Status, res.Detail)
}
