package exporter

import (
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"github.com/xdpmux/xdpmux/cmd/internal/output"
	"github.com/xdpmux/xdpmux/dispatcher/observe"
)

var (
	programLabels = []string{"interface", "program", "id", "priority"}

	chainPackets = prometheus.NewDesc("xdpmux_chain_packets_total",
		"Packets by the verdict of the whole chain, or of the legacy program.", []string{"interface", "verdict"}, nil)
	programPackets = prometheus.NewDesc("xdpmux_program_packets_total",
		"Packets by the verdict of one program.", append(programLabels, "verdict"), nil)
	chainMissed = prometheus.NewDesc("xdpmux_chain_missed_packets_total",
		"Packets that the chain, or the legacy program, met and that are in no other number.", []string{"interface"}, nil)
	programDecided = prometheus.NewDesc("xdpmux_program_decided_packets_total",
		"Packets whose verdict by this program became that of the chain.", programLabels, nil)
	programHandedOn = prometheus.NewDesc("xdpmux_program_handed_on_packets_total",
		"Packets whose verdict by this program was not that of the chain.", programLabels, nil)
	programMissed = prometheus.NewDesc("xdpmux_program_missed_packets_total",
		"Packets at most that the program met and that are in no other number.", programLabels, nil)
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
	s := scrape{counters: map[string]*counter{}, histograms: map[string]bool{}, ch: ch}
	seen := map[int]bool{}
	for _, c := range m.read().Chains {
		if !seen[c.Interface.Index] {
			s.chain(c)
		}
		seen[c.Interface.Index] = true
	}
	for _, key := range s.order {
		c := s.counters[key]
		s.send(prometheus.NewConstMetric(c.desc, prometheus.CounterValue, float64(c.n), c.labels...))
	}
}

// scrape adds up what has the same labels, as Prometheus takes no series twice. So it is
// where an interface is gone and another one has got its name.
type scrape struct {
	counters   map[string]*counter
	order      []string // of the counters
	histograms map[string]bool
	ch         chan<- prometheus.Metric
}

type counter struct {
	desc   *prometheus.Desc
	labels []string
	n      uint64
}

func (s *scrape) send(metric prometheus.Metric, err error) {
	if err == nil { // nothing here makes one
		s.ch <- metric
	}
}

// valid makes labels of names. The kernel allows any byte in a name. People read scrapes
// too, so a label has nothing that a terminal can't print.
func valid(names []string) []string {
	labels := make([]string, len(names))
	for i, name := range names {
		labels[i] = output.Shown(strings.ToValidUTF8(name, "\uFFFD"))
	}
	return labels
}

func keyOfSeries(d *prometheus.Desc, labels []string) string {
	return d.String() + "\x00" + strings.Join(labels, "\x00")
}

func (s *scrape) add(d *prometheus.Desc, n uint64, names ...string) {
	labels := valid(names)
	key := keyOfSeries(d, labels)
	if s.counters[key] == nil {
		s.counters[key] = &counter{desc: d, labels: labels}
		s.order = append(s.order, key)
	}
	s.counters[key].n += n
}

func (s *scrape) times(d *prometheus.Desc, t *observe.Times, names ...string) {
	labels := valid(names)
	key := keyOfSeries(d, labels)
	if t == nil || s.histograms[key] {
		return
	}
	s.histograms[key] = true
	buckets := map[float64]uint64{}
	for n := firstBucket; n <= lastBucket; n++ {
		bound := time.Duration(1) << n
		buckets[bound.Seconds()] = t.AtMost(bound)
	}
	s.send(prometheus.NewConstHistogram(d, t.Packets, t.Total.Seconds(), buckets, labels...))
}

// chain takes in what one interface's programs have done. It tells what became of the
// packets only if the program that is on the interface now can be observed.
func (s *scrape) chain(c observe.Chain) {
	known, ends := true, false
	for _, p := range c.Programs {
		switch end := p.Role == observe.RoleDispatcher || p.Role == observe.RoleLegacy; {
		case p.Blind != nil:
			known = known && (p.Gone || !end)
			continue
		case end:
			ends = true
		}
		if p.Role == observe.RoleDispatcher {
			s.times(chainSeconds, p.Times, c.Interface.Name)
		} else {
			s.program(c.Interface.Name, p)
		}
	}
	if !known || !ends && c.Out == (observe.Counts{}) {
		return
	}
	for v, name := range observe.VerdictNames() {
		s.add(chainPackets, c.Out.Verdicts[v], c.Interface.Name, name)
	}
	s.add(chainMissed, c.Out.Missed, c.Interface.Name)
}

func (s *scrape) program(ifname string, p observe.Program) {
	labels := []string{ifname, p.Name, strconv.FormatUint(uint64(p.ID), 10), ""}
	if p.Role == observe.RoleComponent {
		labels[3] = strconv.FormatUint(uint64(p.Priority), 10)
	}
	for v, name := range observe.VerdictNames() {
		s.add(programPackets, p.Verdicts[v], append(labels, name)...)
	}
	s.add(programDecided, p.Decided, labels...)
	s.add(programHandedOn, p.HandedOn, labels...)
	s.add(programMissed, p.Missed, labels...)
	s.times(programSeconds, p.Times, labels...)
}

// WriteMetrics prints one scrape in the text format.
func WriteMetrics(w io.Writer, s *observe.Snapshot) error {
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
