package maps

import (
	"errors"
	"fmt"
	"testing"

	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

func TestParseCPUs(t *testing.T) {
	for _, c := range []struct{ list, want, err, remedy string }{
		{list: "", want: "[0 1 2 3 6]"},
		{list: "2", want: "[2]"},
		{list: "0-2,6", want: "[0 1 2 6]"},
		{list: "3,1-2,2", want: "[1 2 3]"},
		{list: "5", err: "there is no CPU 5", remedy: "online: 0-3,6"},
		{list: "0-9999", err: "there is no CPU 4", remedy: "online: 0-3,6"},
		{list: "0-99999999", err: `"0-99999999" is not a list of CPUs`, remedy: "such as 0-3,6"},
		{list: "3-1", err: `"3-1" is not a list of CPUs`, remedy: "such as 0-3,6"},
		{list: "-1", err: `"-1" is not a list of CPUs`, remedy: "such as 0-3,6"},
		{list: "1,", err: `"1," is not a list of CPUs`, remedy: "such as 0-3,6"},
		{list: "all", err: `"all" is not a list of CPUs`, remedy: "such as 0-3,6"},
	} {
		got, err := parseCPUs(c.list, "0-3,6")
		if c.err == "" {
			if err != nil || fmt.Sprint(got) != c.want {
				t.Errorf("%q: %v, %v, want %s", c.list, got, err, c.want)
			}
			continue
		}
		var e *xdp.Error
		if !errors.As(err, &e) || e.Msg != c.err || e.Remedy != c.remedy || e.Kind != xdp.ErrInvalid {
			t.Errorf("%q: error %v, want %s (%s)", c.list, err, c.err, c.remedy)
		}
	}
}

func TestCheckCPUMap(t *testing.T) {
	for _, c := range []struct {
		mode    xdp.Mode
		release string
		ok      bool
	}{
		{xdp.ModeSKB, "5.14.0-70.el9.x86_64", false},
		{xdp.ModeSKB, "4.19.0", false},
		{xdp.ModeSKB, "5.15.0-91-generic", true},
		{xdp.ModeSKB, "6.1.0-18-cloud-amd64", true},
		{xdp.ModeNative, "5.10.0", true},
		{xdp.ModeUnspecified, "5.10.0", true},
		{xdp.ModeSKB, "mainline", true},
	} {
		err := checkCPUMap(c.mode, c.release)
		if c.ok != (err == nil) || err != nil && !errors.Is(err, xdp.ErrKernel) {
			t.Errorf("%s on %s: %v", c.mode, c.release, err)
		}
	}
}
