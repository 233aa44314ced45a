package export

import (
	"fmt"
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"example.com/certscan/internal/inventory"
)

// process are the metrics of the process itself and of what it does, which are
// few and count: client_golang's registry holds them.
type process struct {
	registry *prometheus.Registry
	duration *prometheus.HistogramVec
	probes   *prometheus.CounterVec
	writes   prometheus.Histogram
}

func newProcess(opt Options) (*process, error) {
	p := &process{
		registry: prometheus.NewPedanticRegistry(),
		// Classic buckets: the text format carries no native histograms.
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "certscan_probe_duration_seconds", Help: "How long examining a view took, from resolving to the end of the handshake.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"location"}),
		probes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "certscan_probes_total", Help: "Examinations of views, by how the connection ended.",
		}, []string{"location", "outcome"}),
		writes: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "certscan_store_write_duration_seconds", Help: "How long it took to write a batch of results to the history.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "certscan_build_info", Help: "Which build of certscan this is; always 1.",
		ConstLabels: prometheus.Labels{"version": clean(opt.Version), "goversion": runtime.Version()},
	})
	build.Set(1)
	for _, c := range []prometheus.Collector{
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), build, p.duration, p.probes, p.writes,
	} {
		if err := p.registry.Register(c); err != nil {
			return nil, fmt.Errorf("own metrics: %w", err)
		}
	}
	for _, s := range inventory.ReachStatuses() { // a counter that begins at 1 has no rate
		p.probes.WithLabelValues(clean(opt.Location), string(s))
	}
	p.duration.WithLabelValues(clean(opt.Location))
	return p, nil
}

// Probed counts an examination.
func (e *Exporter) Probed(o inventory.Observation) {
	location := clean(o.Location)
	e.own.probes.WithLabelValues(location, string(o.Reach.Status)).Inc()
	e.own.duration.WithLabelValues(location).Observe(o.Timings.Total().Seconds())
}

// Recorded tells how long it took to write a batch of results to the history.
func (e *Exporter) Recorded(took time.Duration) { e.own.writes.Observe(took.Seconds()) }

// instrument counts what is asked of h.
func (p *process) instrument(h http.Handler) http.Handler {
	return promhttp.InstrumentMetricHandler(p.registry, h)
}
