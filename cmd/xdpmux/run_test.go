package main

import (
	"errors"
	"testing"

	"github.com/xdpmux/xdpmux/dispatcher/inspect"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

func TestRateColumns(t *testing.T) {
	var c rateColumns
	for _, row := range []struct {
		total uint64
		rate  float64
		want  string
	}{
		{0, 0, "total 0  0 pkt/s"},
		{2133, 1066.4, "total 2,133  1,066 pkt/s"},
		{999, 12, "total   999     12 pkt/s"},
		{1234567, -1500, "total 1,234,567  -1,500 pkt/s"},
		{1 << 63, 999.6, "total 9,223,372,036,854,775,808   1,000 pkt/s"},
	} {
		if got := c.line(row.total, row.rate); got != row.want {
			t.Errorf("%q, want %q", got, row.want)
		}
	}
}

func TestChooseCounter(t *testing.T) {
	counter := inspect.ObjectMap{Name: "rxcnt", Type: "percpu_array", Numeric: true}
	second := inspect.ObjectMap{Name: "bytes", Type: "array", Numeric: true}
	config := inspect.ObjectMap{Name: "config", Type: "array"}
	for _, c := range []struct {
		maps              []inspect.ObjectMap
		name              string
		want, err, remedy string
	}{
		{maps: []inspect.ObjectMap{config, counter}, want: "rxcnt"},
		{maps: []inspect.ObjectMap{counter, second}, name: "bytes", want: "bytes"},
		{maps: []inspect.ObjectMap{counter, config, second}, err: "a.o has 2 maps of numbers", remedy: "choose one with --map: rxcnt, bytes"},
		{maps: []inspect.ObjectMap{config}, err: "a.o has no map of numbers to print", remedy: "its maps: config"},
		{err: "a.o has no map of numbers to print", remedy: "it has none"},
		{maps: []inspect.ObjectMap{config, counter}, name: "rx", err: `a.o has no map "rx"`, remedy: "its maps: config, rxcnt"},
		{maps: []inspect.ObjectMap{config, counter}, name: "config", err: "the values of map config aren't numbers", remedy: "xdpmux map dump --watch shows them"},
	} {
		got, err := chooseCounter(&inspect.Object{File: "a.o", BTF: true, Maps: c.maps}, c.name)
		if c.err == "" {
			if err != nil || got != c.want {
				t.Errorf("%v %q: %q, %v, want %q", c.maps, c.name, got, err, c.want)
			}
			continue
		}
		var e *xdp.Error
		if !errors.As(err, &e) || e.Msg != c.err || e.Remedy != c.remedy {
			t.Errorf("%v %q: %+v, want %s (%s)", c.maps, c.name, err, c.err, c.remedy)
		}
	}
}
