package desired

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/test/harness"
	"github.com/xdpmux/xdpmux/test/harness/images"
)

// publish builds an image of an object and pushes it. It returns the image's name with its digest.
func publish(t *testing.T, name, object string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "image")
	mustExit(t, 0, "image", "build", "-o", dir, object)
	return strings.TrimSpace(mustExit(t, 0, "image", "push", dir, name))
}

// TestImages: chains from images in a registry, by hand and by a state, with packets. The tag moves, and
// the registry goes away.
func TestImages(t *testing.T) {
	harness.NoLeak(t)
	v := harness.NewVeth(t)
	r := images.Start(t, "")
	filter, count := r.Name("lab/filter:v1"), r.Name("lab/count:v1")
	drops := publish(t, filter, object(t, "xdp_drop"))
	counts := publish(t, count, object(t, "xdp_count"))
	packet := harness.UDP4(harness.Flow{})

	// One, two and ten programs, of which the last drops.
	for _, n := range []int{1, 2, 10} {
		args := []string{"load", v.Name}
		for range n - 1 {
			args = append(args, count)
		}
		mustExit(t, 0, append(args, filter+"@prio=99")...)
		if got := len(harness.Status(t, v.Name).Programs); got != n {
			t.Errorf("%d programs run, want %d", got, n)
		}
		if passed := v.Deliver(t, packet); len(passed) != 0 {
			t.Errorf("%d programs: the packet passes", n)
		}
		mustExit(t, 0, "unload", "-a", v.Name)
	}

	state := write(t, "state.yaml", fmt.Sprintf("interfaces: [{name: %s, programs: [{name: count, object: %q, priority: 1}, {name: filter, object: %q}]}]", v.Name, count, filter))
	for _, pinned := range []string{drops, counts} {
		if plan := mustExit(t, 2, "plan", "-f", state); !strings.Contains(plan, pinned) {
			t.Errorf("no %s in\n%s", pinned, plan)
		}
	}
	mustExit(t, 0, "apply", "-f", state)
	mustExit(t, 0, "plan", "-f", state)
	if passed := v.Deliver(t, packet); len(passed) != 0 {
		t.Error("the packet passes")
	}

	// The tag moves to a program that lets packets pass.
	passes := publish(t, filter, object(t, "xdp_pass"))
	_, stderr, _ := harness.Run(t, harness.Xdpmux(), "apply", "-f", state)
	if want := fmt.Sprintf("the tag of %s has moved: it stands for %s now", filter, digestOf(passes)); !strings.Contains(stderr, want) {
		t.Errorf("no %q in %q", want, stderr)
	}
	if passed := v.Deliver(t, packet); len(passed) != 1 {
		t.Error("the packet is dropped still")
	}
	if history := mustExit(t, 0, "history", v.Name); !strings.Contains(history, passes) || !strings.Contains(history, drops) {
		t.Errorf("no %s in\n%s", passes, history)
	}

	// Without the registry what was fetched goes on: the tag as it was resolved last, and what ran before.
	r.Close()
	stdout, stderr, status := harness.Run(t, harness.Xdpmux(), "plan", "-f", state)
	if want := fmt.Sprintf("%s is taken for %s, as on ", filter, digestOf(passes)); status != 0 || !strings.Contains(stderr, want) {
		t.Errorf("exit status %d, no %q in %q\n%s", status, want, stderr, stdout)
	}
	bundle := filepath.Join(t.TempDir(), "bundle")
	mustExit(t, 0, "export", "--bundle", bundle, v.Name)
	mustExit(t, 0, "undo", v.Name)
	if passed := v.Deliver(t, packet); len(passed) != 0 {
		t.Error("undo hasn't brought the program of the old image back")
	}
	mustExit(t, 0, "apply", "--prune", "-f", bundle)
	if passed := v.Deliver(t, packet); len(passed) != 1 {
		t.Error("the bundle hasn't brought the program of the new image back")
	}
	mustExit(t, 0, "unload", "-a", v.Name)
	_, stderr, status = harness.Run(t, harness.Xdpmux(), "load", v.Name, drops)
	if status != 0 || stderr != "" {
		t.Errorf("by its digest: exit status %d, %s", status, stderr)
	}
	mustExit(t, 0, "unload", "-a", v.Name)
	_, stderr, status = harness.Run(t, harness.Xdpmux(), "load", v.Name, r.Name("lab/other:v1"))
	if status != 1 || !strings.Contains(stderr, "can't be reached") {
		t.Errorf("exit status %d, %s", status, stderr)
	}
}

// digestOf is the digest behind the name of an image.
func digestOf(pinned string) string {
	_, digest, _ := strings.Cut(pinned, "@")
	return digest
}
