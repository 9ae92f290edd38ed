package agent

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/xdpmux/xdpmux/test/harness"
	"github.com/xdpmux/xdpmux/test/harness/images"
)

// TestRegistry: an object comes from Debian's registry. Its tag moves, the registry hangs and goes on,
// the image isn't signed as it has to be, and the registry is gone. Each is named in the log, by the
// metrics and on the page, and the chain is kept as declared all the while.
func TestRegistry(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	r, registry := images.Debian(t)
	tag := func(sample string) (name string) {
		t.Helper()
		object, err := os.ReadFile(harness.Sample(sample))
		if err != nil {
			t.Fatal(err)
		}
		return r.Put(t, "chains/guard:v1", images.Of(t, images.Layer(t, types.OCILayer, object)))
	}
	passes := func(want int) {
		t.Helper()
		if got := len(v.Deliver(t, harness.UDP4(harness.Flow{}))); got != want {
			t.Errorf("%d packets pass, want %d", got, want)
		}
	}
	name := tag("xdp_drop")
	state := func(more string) string {
		count, err := filepath.Abs(harness.Sample("xdp_count"))
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("interfaces: [{name: %s, programs: [{name: count, object: %s}, {name: guard, object: '%s'%s}]}]\n", v.Name, count, name, more)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "a.yaml")
	put(t, dir, "a.yaml", state(""))
	a := start(t, dir, "--listen", "127.0.0.1:0")
	url := a.until(t, "serving", "").URL
	a.until(t, "this image is here", "")
	a.changes(t, "started", v.Name, "xdp_count xdp_drop")
	passes(0)
	is := func(condition string) string {
		return fmt.Sprintf(`image{condition="%s",file="%s",image="%s"} 1`, condition, file, name)
	}
	figures(t, url, is("here"))

	// A tag that has moved is followed when the agent is reloaded, and not before.
	tag("xdp_pass")
	ran := runs(t, v.Name)
	put(t, dir, "b.yaml", "interfaces: []")
	a.until(t, "the files have been read", "")
	if now := runs(t, v.Name); now != ran {
		t.Errorf("as the tag moved, it ran %s and runs %s", ran, now)
	}
	a.Signal(t, syscall.SIGHUP)
	a.until(t, "this tag has moved", "")
	a.changes(t, "the tag has moved", v.Name, "xdp_count xdp_pass")
	passes(1)
	figures(t, url, is("moved"))
	shows(t, url+"/", fmt.Sprintf("%s: image %s is moved: the tag stood for sha256:", file, name))

	// The registry hangs. What the file declared before is kept so, and drift is mended.
	if err := registry.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	put(t, dir, "a.yaml", "# changed\n"+state(""))
	a.until(t, "the registries have not answered yet", "a.yaml")
	late := fmt.Sprintf(`file_late{file="%s",why="fetching"} 1`, file)
	figures(t, url, late)
	shows(t, url+"/", file+": its images are being fetched")
	harness.MustRun(t, native, "unload", v.Name, "-a")
	if r := a.changes(t, "the registry hangs", v.Name, "xdp_count xdp_pass"); !r.Mended {
		t.Errorf("%+v", r)
	}
	passes(1)
	if err := registry.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	a.until(t, "this image is here", "")
	figures(t, url, is("here"))
	if scrape := harness.Get(t, url+"/metrics"); strings.Contains(scrape, late) {
		t.Errorf("the registry has answered, and there is %s", late)
	}

	// What isn't signed as it has to be isn't loaded, and what runs stays.
	key := filepath.Join(t.TempDir(), "cosign.pub")
	images.PublicKey(t, key)
	tag("xdp_drop")
	ran = runs(t, v.Name)
	put(t, dir, "a.yaml", state(", verify-key: "+key))
	if r := a.until(t, "this image can't be had", "a.yaml"); !strings.Contains(r.Error, "is not signed, and has to be by "+key) {
		t.Errorf("%+v", r)
	}
	a.until(t, "not changed", v.Name)
	figures(t, url, is("missing"), fmt.Sprintf(`interface{condition="failed",interface="%s"} 1`, v.Name))
	shows(t, url+"/", fmt.Sprintf("image %s is missing: %s is not signed", name, name))
	if now := runs(t, v.Name); now != ran {
		t.Errorf("unsigned: it ran %s and runs %s", ran, now)
	}

	// Without a registry, a tag is what it was before.
	if err := registry.Kill(); err != nil {
		t.Fatal(err)
	}
	put(t, dir, "a.yaml", state(""))
	a.until(t, "the registry can't be asked", "")
	figures(t, url, is("unasked"), fmt.Sprintf(`interface{condition="as declared",interface="%s"} 1`, v.Name))
	shows(t, url+"/", fmt.Sprintf("image %s is unasked: the registry", name))
	if now := runs(t, v.Name); now != ran {
		t.Errorf("without a registry: it ran %s and runs %s", ran, now)
	}
	a.end(t)
}
