package agent

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/xdpmux/xdpmux/dispatcher/image"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// TestImages: a tag is resolved once for what a file holds, also while another image of the file can't
// be had, and anew when the file changes or with Reload.
func TestImages(t *testing.T) {
	var asking sync.Mutex
	asked := map[string]int{}
	digest, here := "sha256:"+strings.Repeat("1", 64), false
	var log bytes.Buffer
	a := &agent{files: map[string]*file{}, Options: Options{Dir: t.TempDir(), Log: slog.New(slog.NewTextHandler(&log, nil)),
		Fetch: func(_ context.Context, r image.Request) (*image.Image, error) {
			asking.Lock()
			defer asking.Unlock()
			asked[r.Object]++
			if strings.Contains(r.Object, "missing") && !here {
				return nil, &xdp.Error{Kind: xdp.ErrImage, Msg: "the registry has no " + r.Object}
			}
			d := digest
			if pinned := image.Digest(r.Object); pinned != "" {
				d = pinned
			}
			return &image.Image{Object: r.Object, Digest: d}, nil
		}}}
	a.totals.Errors = map[string]int{}
	path := filepath.Join(a.Dir, "a.yaml")
	write := func(more string) {
		t.Helper()
		text := "interfaces: [{name: a, programs: [{name: x, object: 'oci://here/pass:v1'}, {name: y, object: 'oci://here/missing:v1'}]}]" + more
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	read := func() (objects []string) {
		t.Helper()
		if err := a.readFiles(t.Context(), time.Now()); err != nil {
			t.Fatal(err)
		}
		for _, p := range a.state.Interfaces[0].Programs {
			objects = append(objects, p.Object)
		}
		return objects
	}
	first := "oci://here/pass:v1@" + digest
	write("")
	if got := read(); got[0] != first || got[1] != "oci://here/missing:v1" || !a.lacking {
		t.Errorf("%v, lacking: %v", got, a.lacking)
	}
	said := log.Len()
	// The tag moves, and nobody asks for it; the missing image is asked for again.
	digest = "sha256:" + strings.Repeat("2", 64)
	if got := read(); got[0] != first || asked["oci://here/pass:v1"] != 1 || asked["oci://here/missing:v1"] != 2 || log.Len() != said {
		t.Errorf("%v, %v\n%s", got, asked, &log)
	}
	here = true
	second := "oci://here/pass:v1@" + digest
	if got := read(); got[0] != first || got[1] != "oci://here/missing:v1@"+digest || a.lacking {
		t.Errorf("%v, lacking: %v", got, a.lacking)
	}
	before := asked["oci://here/missing:v1"]
	if read(); asked["oci://here/missing:v1"] != before {
		t.Errorf("%v", asked)
	}
	write(" # changed")
	if got := read(); got[0] != second {
		t.Errorf("%v", got)
	}
	if a.totals.Errors[xdp.ErrImage.Error()] != 1 || !strings.Contains(log.String(), "this image can't be had") || !strings.Contains(log.String(), "image=oci://here/missing:v1") {
		t.Errorf("%v\n%s", a.totals.Errors, &log)
	}
	if a.files[path].lacks != nil {
		t.Error(a.files[path].lacks)
	}
}

// TestSilentRegistry: a registry that doesn't answer keeps the agent from nothing else; what the file
// declared before stays until it does.
func TestSilentRegistry(t *testing.T) {
	answer := make(chan struct{})
	var asked atomic.Int32
	a := &agent{files: map[string]*file{}, memory: &memory{}, posts: make(chan func(), 1), Options: Options{
		Dir: t.TempDir(), Every: time.Hour, Log: slog.New(slog.DiscardHandler),
		Fetch: func(_ context.Context, r image.Request) (*image.Image, error) {
			asked.Add(1)
			<-answer
			return &image.Image{Object: r.Object, Digest: "sha256:" + strings.Repeat("1", 64)}, nil
		}}}
	defer func() { a.watch.close() }()
	a.totals.Errors = map[string]int{}
	write := func(object string) {
		t.Helper()
		text := "interfaces: [{name: a, programs: [{name: x, object: '" + object + "'}]}]"
		if err := os.WriteFile(filepath.Join(a.Dir, "a.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	declares := func(want string, settled bool) {
		t.Helper()
		if a.status().Settled() != settled {
			t.Errorf("settled: %t, want %t", !settled, settled)
		}
		got := ""
		if len(a.state.Interfaces) > 0 {
			got = a.state.Interfaces[0].Programs[0].Object
		}
		if got != want {
			t.Errorf("it declares %q, want %q", got, want)
		}
	}
	const late = "oci://silent/pass:v1"
	write(late)
	a.read(t.Context(), false)
	declares("", false)
	if !errors.Is(a.unsure, errComing) {
		t.Errorf("nobody knows what the file declares, and the agent says: %v", a.unsure)
	}
	write("/there.o") // the answer to what the file held before comes to nothing
	a.read(t.Context(), true)
	declares("/there.o", true)
	write(late)
	a.read(t.Context(), true)
	declares("/there.o", false)
	if a.unsure != nil {
		t.Errorf("what was declared before is known, and the agent says: %v", a.unsure)
	}
	close(answer)
	(<-a.posts)()
	(<-a.posts)()
	declares(late+"@sha256:"+strings.Repeat("1", 64), true)
	a.read(t.Context(), true)
	if n := asked.Load(); n != 2 {
		t.Errorf("asked %d times", n)
	}
	a.tries.Wait()
}
