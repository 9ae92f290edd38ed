// Package agentweb serves how an agent keeps a machine: a page, figures for Prometheus, and whether it
// is ready.
package agentweb

import (
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/xdpmux/xdpmux/cmd/internal/exporter"
	"github.com/xdpmux/xdpmux/cmd/internal/output"
	"github.com/xdpmux/xdpmux/dispatcher/agent"
	"github.com/xdpmux/xdpmux/dispatcher/observe"
)

// View is what there is to see.
type View struct {
	Status   func() *agent.Status // nil: the agent has told nothing yet
	Packets  func() *observe.Snapshot
	Alive    func() error    // why the agent is taken for stuck; nil: nobody looks
	Unready  func() string   // why there is more to wait for than the agent; nil, or an empty text: there isn't
	Troubles func() []string // beyond those of the agent; nil: none
	Server   func() *Server  // at which this is to be seen; nil: nobody is to be told of that
	More     []prometheus.Collector
}

// unlistened is how often the server couldn't listen before it could, and why.
func (v View) unlistened() (n int, last string) {
	if v.Server == nil {
		return 0, ""
	}
	s := v.Server()
	return s.refusals, s.failed
}

// Handlers serve a view.
func Handlers(v View) *http.ServeMux {
	mux := http.NewServeMux()
	exporter.New(v.Packets, func() *exporter.Declared {
		d := declared(v.Status(), v.unlistened)
		if v.Troubles != nil {
			d.Troubles = append(d.Troubles, v.Troubles()...)
		}
		return d
	}).Serve(mux, append(v.More, metrics{v})...)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if v.Alive != nil {
			if err := v.Alive(); err != nil {
				http.Error(w, err.Error(), http.StatusServiceUnavailable)
				return
			}
		}
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		why := ""
		if s := v.Status(); s == nil || !s.Settled() {
			why = "the files couldn't be read yet, or not all that they declare was looked at"
		} else if v.Unready != nil {
			why = v.Unready()
		}
		if why != "" {
			http.Error(w, why, http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	return mux
}

// metrics are the figures of the agent.
type metrics struct{ View }

var (
	generation = desc("generation", "How often the files have changed what they declare.")
	unread     = desc("files_unread", "1 if the files can't be read now.")
	unwritten  = desc("unwritten", "1 if the history lacks the last change, or a part of it; 1 if what the agent knows can't be written down for the next one.", "what")
	files      = desc("files", "State files that were read last.")
	late       = desc("file_late", "1 for each file whose content isn't taken yet, as somebody writes to it or its images are being fetched: what it declared before stays.", "file", "why")
	image      = desc("image", "1 for the condition of each image that a file names.", "file", "image", "condition")
	broken     = desc("file_broken", "1 for each file that can't be used: what it declared before stays.", "file")
	condition  = desc("interface", "1 for the condition of each interface that the files declare.", "interface", "condition")
	programs   = desc("interface_programs", "Programs of each interface: those that the files declare, and those that run, others' too.", "interface", "what")
	reached    = desc("interface_generation", "The generation that each interface was last as declared by; 0: none.", "interface")
	converged  = desc("last_convergence_timestamp_seconds", "When all was last as declared; 0: never.")
	drifts     = desc("drift_total", "How often an interface was found changed by others.")
	mends      = desc("mended_total", "How often that was mended.")
	changes    = desc("changes_total", "How often an interface was changed.")
	takenBack  = desc("taken_back_total", "How often a change of an interface was taken back, as its guard failed or somebody wanted it.")
	tagsMoved  = desc("tags_moved_total", "How often a tag stood for another image than when it was resolved before.")
	renames    = desc("renames_total", "How often an interface that is kept was renamed.")
	clockSteps = desc("clock_steps_total", "How often the clock was set, or the machine slept.")
	refused    = desc("others_refused_total", "Agents that were turned away, as this one runs.")
	unlistened = desc("listen_failures_total", "How often the agent couldn't listen at its address before it could.")
	lastChange = desc("last_change_timestamp_seconds", "When an interface was changed last; 0: never.")
	pending    = desc("pending_changes", "Changes that a guard may take back.")
	failures   = desc("errors_total", "Errors by their kinds.", "kind")
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("xdpmux_agent_"+name, help, labels, nil)
}

// Describe is empty: which metrics come depends on what is there.
func (metrics) Describe(chan<- *prometheus.Desc) {}

// Collect gives the figures of now.
func (m metrics) Collect(to chan<- prometheus.Metric) {
	s := m.Status()
	if s == nil {
		return
	}
	// Names of files and interfaces may have any bytes, and labels have to be UTF-8.
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, output.ShownAll(labels)...)
	}
	counter := func(d *prometheus.Desc, value int, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(value), output.ShownAll(labels)...)
	}
	gauge(generation, float64(s.Generation))
	is := map[bool]float64{true: 1}
	gauge(unread, is[s.Unread != nil])
	gauge(unwritten, is[s.Untold != nil], "history")
	gauge(unwritten, is[s.Unwritten != nil], "knowledge")
	gauge(files, float64(s.Files))
	for _, f := range s.Late {
		gauge(late, 1, f.Path, string(f.Why))
	}
	for _, i := range s.Images {
		gauge(image, 1, i.File, i.Object, string(i.Condition))
	}
	for _, f := range s.Broken {
		gauge(broken, 1, f.Path)
	}
	for _, one := range s.Interfaces {
		gauge(condition, 1, one.Name, string(one.Condition))
		gauge(programs, float64(one.Declared), one.Name, "declared")
		gauge(programs, float64(one.Running), one.Name, "running")
		gauge(reached, float64(one.Generation), one.Name)
	}
	counter(drifts, s.Drifts)
	counter(mends, s.Mends)
	counter(changes, s.Changes)
	counter(takenBack, s.TakenBack)
	counter(tagsMoved, s.TagsMoved)
	counter(renames, s.Renames)
	counter(clockSteps, s.ClockSteps)
	counter(refused, s.Refused)
	refusals, _ := m.unlistened()
	counter(unlistened, refusals)
	gauge(lastChange, seconds(s.LastChange))
	gauge(converged, seconds(s.Converged))
	gauge(pending, float64(s.Pending))
	for kind, n := range s.Errors {
		counter(failures, n, kind)
	}
}

// seconds are those since 1970; 0 for the zero time.
func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}
