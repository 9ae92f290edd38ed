package main

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"k8s.io/client-go/tools/metrics"
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("xdpmux_kube_"+name, help, labels, nil)
}

func gauge(to chan<- prometheus.Metric, d *prometheus.Desc, value float64, labels ...string) {
	to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
}

func counter(to chan<- prometheus.Metric, d *prometheus.Desc, value float64, labels ...string) {
	to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, value, labels...)
}

func is(so bool) float64 {
	if so {
		return 1
	}
	return 0
}

// processMetrics are the figures of the process, and of what it asks the API server.
func processMetrics() []prometheus.Collector {
	return []prometheus.Collector{requests, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})}
}

var requests = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "xdpmux_kube_requests_total",
	Help: "Requests to the API server, by the status of its answer; <error>: there was none."}, []string{"code", "method"})

// countRequests has client-go count what it asks.
func countRequests() {
	metrics.Register(metrics.RegisterOpts{RequestResult: requestResults{}})
}

type requestResults struct{}

func (requestResults) Increment(_ context.Context, code, method, _ string) {
	requests.WithLabelValues(code, method).Inc()
}
