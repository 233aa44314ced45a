package export

import (
	"hash/fnv"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/prometheus/common/expfmt"
)

// contentType is of the text format, which every version of Prometheus reads.
const contentType = "text/plain; version=0.0.4; charset=utf-8"

// maxShards bounds how many parts the fleet is served in.
const maxShards = 1000

// Metrics serves certscan's own metrics, the totals of the fleet and, by the
// detail that is set, its targets. It answers 503 until [Exporter.Loaded].
func (e *Exporter) Metrics() http.Handler {
	return e.own.instrument(e.ready(func(w http.ResponseWriter, r *http.Request) {
		own, err := e.own.registry.Gather()
		if err != nil {
			http.Error(w, "own metrics: "+err.Error(), http.StatusInternalServerError)
			return
		}
		e.answer(w, r, func(p *page) {
			for _, f := range own {
				if _, err := expfmt.MetricFamilyToText(p.w, f); err != nil {
					return // the connection's, and shows again
				}
			}
			p.state(e)
			s := p.total(e.opt.Location)
			switch p.settings.Detail {
			case DetailNone:
			default:
				p.choose(p.targets, p.settings.Detail == DetailAttention)
			}
			p.fleet(s, e)
			p.detail()
			p.cap()
		})
	}))
}

// Targets serves every target whatever the detail, or with ?shard=I&shards=N,
// I from 0 to N-1, one part of N, so that several scrape jobs can share a large
// fleet. It answers 503 until [Exporter.Loaded].
func (e *Exporter) Targets() http.Handler {
	return e.ready(func(w http.ResponseWriter, r *http.Request) {
		shard, shards, problem := shardOf(r)
		if problem != "" {
			http.Error(w, problem, http.StatusBadRequest)
			return
		}
		e.answer(w, r, func(p *page) {
			list := p.targets
			if shards > 1 {
				list = nil
				for _, t := range p.targets {
					if inShard(t.key, shard, shards) {
						list = append(list, t)
					}
				}
			}
			p.choose(list, false)
			p.detail()
			p.cap()
		})
	})
}

// cap writes what the cap on series left out of this answer.
func (p *page) cap() {
	p.begin(family{"certscan_metrics_series_dropped", gauge, "Series of targets that the cap left out of this answer, those that expire last first."})
	p.sample("", p.dropped)
}

// shardOf reads which part is asked for; problem says what is wrong.
func shardOf(r *http.Request) (shard, shards uint64, problem string) {
	q := r.URL.Query()
	if !q.Has("shard") && !q.Has("shards") {
		return 0, 1, ""
	}
	shards, err := strconv.ParseUint(q.Get("shards"), 10, 32)
	if err != nil || shards == 0 || shards > maxShards {
		return 0, 0, "shards=" + strconv.Quote(clean(q.Get("shards"))) + ": want a number from 1 to " + strconv.Itoa(maxShards) + ", as in ?shard=0&shards=4"
	}
	shard, err = strconv.ParseUint(q.Get("shard"), 10, 32)
	if err != nil || shard >= shards {
		return 0, 0, "shard=" + strconv.Quote(clean(q.Get("shard"))) + ": want a number from 0 to " + strconv.FormatUint(shards-1, 10) + ", as in ?shard=0&shards=" + strconv.FormatUint(shards, 10)
	}
	return shard, shards, ""
}

// inShard reports whether a target belongs to a part. It is always the same.
func inShard(key string, shard, shards uint64) bool {
	h := fnv.New64a()
	_, _ = io.WriteString(h, key)
	return h.Sum64()%shards == shard
}

// ready answers 503 until all that is stored is loaded.
func (e *Exporter) ready(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !e.loaded.Load() {
			w.Header().Set("Retry-After", "5")
			http.Error(w, "what is stored is still being loaded", http.StatusServiceUnavailable)
			return
		}
		next(w, r)
	})
}

// answer renders the present snapshot to w, compressed if the client takes it.
func (e *Exporter) answer(w http.ResponseWriter, r *http.Request, render func(*page)) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Vary", "Accept-Encoding")
	h.Set("X-Content-Type-Options", "nosniff")
	var out io.Writer = w
	if acceptsGzip(r.Header.Values("Accept-Encoding")) {
		h.Set("Content-Encoding", "gzip")
		z, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		defer z.Close() // a client that is gone does not mind
		out = z
	}
	p := &page{text: &text{w: newBuffer(out)}, snapshot: e.shown.Load(), now: e.opt.Now()}
	render(p)
	p.w.flush() // likewise
}

// acceptsGzip reports whether a client takes gzip (RFC 9110, section 12.5.3).
func acceptsGzip(headers []string) bool {
	for _, h := range headers {
		for part := range strings.SplitSeq(h, ",") {
			coding, parameters, _ := strings.Cut(part, ";")
			if c := strings.TrimSpace(coding); !strings.EqualFold(c, "gzip") && c != "*" {
				continue
			}
			q, given := strings.CutPrefix(strings.ReplaceAll(strings.ToLower(parameters), " ", ""), "q=")
			weight, err := strconv.ParseFloat(q, 64)
			return !given || err == nil && weight > 0
		}
	}
	return false
}
