package agent

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/xdpmux/xdpmux/dispatcher/image"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// TestImages: a tag is resolved once for what a file holds, also while another image of the file can't
// be had, and anew when the file changes or with Reload.
func TestImages(t *testing.T) {
	asked := map[string]int{}
	digest, here := "sha256:"+strings.Repeat("1", 64), false
	var log bytes.Buffer
	a := &agent{files: map[string]*file{}, Options: Options{Dir: t.TempDir(), Log: slog.New(slog.NewTextHandler(&log, nil)),
		Fetch: func(_ context.Context, r image.Request) (*image.Image, error) {
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
