package foreground

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/xdpmux/xdpmux/dispatcher/maps"
	"github.com/xdpmux/xdpmux/test/harness"
)

var (
	dropExample = "../../build/examples/drop_ipv6_count"
	dropObject  = harness.Sample("xdp_drop_ipv6_count")
)

// startExample starts one and returns behind its first line.
func startExample(t *testing.T, name string, args ...string) *harness.Process {
	t.Helper()
	p := harness.Start(t, name, args...)
	p.Stdout.Line(t)
	return p
}

func TestDropIPv6Count(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	harness.MustRun(t, harness.Xdpmux(), "load", v.Name, pass)
	defer harness.MustRun(t, harness.Xdpmux(), "unload", "-a", v.Name)
	p := startExample(t, dropExample, "-interval", "100ms", v.Name, dropObject)
	if got := harness.Programs(t, v); got != "xdp_drop_ipv6_count xdp_pass" {
		t.Errorf("programs: %s", got)
	}
	var frames [][]byte
	for range 300 {
		frames = append(frames, harness.UDP6(harness.Flow{}), harness.UDP4(harness.Flow{}))
	}
	if passed := v.Deliver(t, frames...); len(passed) != 300 {
		t.Errorf("%d packets passed, want 300", len(passed))
	}
	for n := 0; !strings.HasPrefix(p.Stdout.Line(t), "300 packets dropped, "); n++ {
		if n == 100 {
			t.Fatal("300 dropped packets are never printed")
		}
	}
	p.Stop(t, syscall.SIGTERM)
	if got := harness.Programs(t, v); got != "xdp_pass" {
		t.Errorf("programs after the end: %s", got)
	}
}

func TestExamplesRefuse(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	for _, c := range []struct{ name, args, want string }{
		{dropExample, "IF", "usage: drop_ipv6_count"},
		{dropExample, "-interval 0 IF " + dropObject, "usage: drop_ipv6_count"},
		{dropExample, "nowhere0 " + dropObject, `no interface "nowhere0"`},
		{dropExample, "IF " + pass, `uses no map "rxcnt"`},
		{rssExample, "--cpus 0,4096 IF " + rssObject, "there is no CPU 4096"},
		{rssExample, "--cpus all IF " + rssObject, `"all" is not a list of CPUs`},
		{rssExample, "--queue-size 0 IF " + rssObject, "a queue of 0 packets is refused"},
		{rssExample, "--queue-size 16385 IF " + rssObject, "a queue of 16385 packets is refused"},
		{rssExample, "--mode fast IF " + rssObject, `unknown mode "fast"`},
		{socketExample, "", "usage: af_xdp"},
		{socketExample, "-mode fast IF", `unknown mode "fast"`},
		{socketExample, "nowhere0", `no socket on queue 0 of "nowhere0": xsk_socket__create: no such device`},
		{socketExample, "-queue 3 IF", "no socket on queue 3 of"},
		{rssExample, "IF " + pass, fmt.Sprintf(`%s has no program "cpumap_enqueue"`, pass)},
	} {
		args := strings.Fields(strings.ReplaceAll(c.args, "IF", v.Name))
		stdout, stderr, status := harness.Run(t, c.name, args...)
		if status != 1 || stdout != "" || !strings.Contains(stderr, c.want) {
			t.Errorf("%s %s: status %d, %q\nwant %q\n got %q", c.name, c.args, status, stdout, c.want, stderr)
		}
		if got := harness.Programs(t, v); got != "" {
			t.Errorf("%s %s left %s", c.name, c.args, got)
		}
	}
}

// What the kernel itself says of a queue and a CPU that it doesn't take.
func TestKernelRefusesCPU(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	harness.MustRun(t, harness.Xdpmux(), "load", v.Name, rssObject)
	defer harness.MustRun(t, harness.Xdpmux(), "unload", "-a", v.Name)
	chain := harness.Status(t, v.Name)
	m, err := maps.Open(chain.Programs[0].ID, "cpu_map")
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	type entry struct{ Size, FD uint32 }
	if err := m.Update(uint32(0), entry{Size: 16385}); err == nil {
		t.Error("the kernel takes a queue of 16385, which FillCPUMap refuses")
	}
	if err := m.Update(uint32(0), entry{Size: 16384}); err != nil {
		t.Errorf("a queue of 16384: %v", err)
	}
	if err := m.Update(uint32(0), entry{}); err != nil {
		t.Errorf("empty the entry: %v", err)
	}
	if err := maps.FillCPUMap(m, []int{0, 127}, 192); err == nil || !strings.Contains(err.Error(), "there is no CPU 127") {
		t.Errorf("CPU 127: %v", err)
	}
	if err := maps.FillCPUMap(m, []int{0, 128}, 192); err == nil || !strings.Contains(err.Error(), "no room for CPU 128") {
		t.Errorf("CPU 128: %v", err)
	}
	for e := range m.Entries(t.Context()) {
		t.Errorf("left in the map: %v", e)
	}
}
