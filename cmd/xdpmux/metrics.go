//go:build !lean

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/expfmt"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/observe"
)

var (
	programLabels = []string{"interface", "program", "id", "priority"}

	chainPackets = prometheus.NewDesc("xdpmux_chain_packets_total",
		"Packets by the verdict of the whole chain, or of the legacy program.", []string{"interface", "verdict"}, nil)
	programPackets = prometheus.NewDesc("xdpmux_program_packets_total",
		"Packets by the verdict of one program.", append(programLabels, "verdict"), nil)
	programDecided = prometheus.NewDesc("xdpmux_program_decided_packets_total",
		"Packets whose chain ended with this program's verdict.", programLabels, nil)
	programHandedOn = prometheus.NewDesc("xdpmux_program_handed_on_packets_total",
		"Packets that went on after this program.", programLabels, nil)
	programMissed = prometheus.NewDesc("xdpmux_program_missed_packets_total",
		"Packets that the kernel left out of the counts.", programLabels, nil)
	programSeconds = prometheus.NewDesc("xdpmux_program_run_seconds",
		"Time that the program took for a packet.", programLabels, nil)
	chainSeconds = prometheus.NewDesc("xdpmux_chain_run_seconds",
		"Time that the dispatcher with all its programs took for a packet.", []string{"interface"}, nil)
)

// timeBuckets are the upper bounds of the histograms: powers of two from 64 ns to
// 1 ms, where observe's own buckets end too.
const firstBucket, lastBucket = 6, 20

// metrics is a Prometheus collector of what read returns.
type metrics struct{ read func() *observe.Snapshot }

// Describe sends nothing: programs, and so their series, come and go.
func (m metrics) Describe(chan<- *prometheus.Desc) {}

// Collect reads once for a whole scrape.
func (m metrics) Collect(ch chan<- prometheus.Metric) {
	for _, c := range m.read().Chains {
		for _, p := range c.Programs {
			collectProgram(ch, c.Interface.Name, p)
		}
	}
}

func collectProgram(ch chan<- prometheus.Metric, ifname string, p observe.Program) {
	if p.Blind != nil {
		return
	}
	counter := func(d *prometheus.Desc, n uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	whole := p.Role == observe.RoleDispatcher
	if whole || p.Role == observe.RoleLegacy && !p.Gone {
		for v, name := range observe.VerdictNames() {
			counter(chainPackets, p.Verdicts[v], ifname, name)
		}
	}
	if whole {
		collectTimes(ch, chainSeconds, p.Times, ifname)
		return
	}
	labels := []string{ifname, p.Name, strconv.FormatUint(uint64(p.ID), 10), ""}
	if p.Role == observe.RoleComponent {
		labels[3] = strconv.FormatUint(uint64(p.Priority), 10)
	}
	for v, name := range observe.VerdictNames() {
		counter(programPackets, p.Verdicts[v], append(labels, name)...)
	}
	counter(programDecided, p.Decided, labels...)
	counter(programHandedOn, p.HandedOn, labels...)
	counter(programMissed, p.Missed, labels...)
	collectTimes(ch, programSeconds, p.Times, labels...)
}

func collectTimes(ch chan<- prometheus.Metric, d *prometheus.Desc, t *observe.Times, labels ...string) {
	if t == nil {
		return
	}
	buckets := map[float64]uint64{}
	for n := firstBucket; n <= lastBucket; n++ {
		bound := time.Duration(1) << n
		buckets[bound.Seconds()] = t.AtMost(bound)
	}
	ch <- prometheus.MustNewConstHistogram(d, t.Packets, t.Total.Seconds(), buckets, labels...)
}

// writeMetrics prints one scrape in the text format.
func writeMetrics(w io.Writer, s *observe.Snapshot) error {
	registry := prometheus.NewRegistry()
	registry.MustRegister(metrics{func() *observe.Snapshot { return s }})
	families, err := registry.Gather()
	if err != nil {
		return err
	}
	for _, family := range families {
		if _, err := expfmt.MetricFamilyToText(w, family); err != nil {
			return err
		}
	}
	return nil
}

// serveMetrics answers scrapes until ctx ends.
func serveMetrics(ctx context.Context, out *output, address string, ifnames []string, opts observe.Options) error {
	listener, err := listen(address)
	if err != nil {
		return err
	}
	defer listener.Close()
	o, err := observe.Open(ctx, ifnames, opts)
	if err != nil {
		return err
	}
	defer o.Close()
	registry := prometheus.NewRegistry()
	registry.MustRegister(metrics{o.Read})
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	fmt.Fprintf(out.stderr, "xdpmux: serving http://%s/metrics\n", listener.Addr())
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// listen takes an address without a host to mean loopback.
func listen(address string) (net.Listener, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, usageError(fmt.Sprintf("%q is not an address to listen on: %v", address, err), "such as: --listen 127.0.0.1:9435")
	}
	if host == "" {
		host = "127.0.0.1"
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(host, port))
	if err != nil {
		var cause *net.OpError
		if errors.As(err, &cause) {
			err = cause.Err
		}
		return nil, &dispatcher.Error{Kind: dispatcher.ErrInvalid, Err: err,
			Msg: fmt.Sprintf("can't listen on %s: %v", address, err), Remedy: "choose another address or port with --listen"}
	}
	return listener, nil
}
