package host

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/xdpmux/xdpmux/test/harness/images"
)

const passObject = "../../build/bpf/xdp_pass.o"

func passImage(t *testing.T) v1.Image {
	t.Helper()
	data, err := os.ReadFile(passObject)
	if err != nil {
		t.Fatal(err)
	}
	return images.Of(t, images.Layer(t, types.OCILayer, data))
}

// imageFault is how a row of docs/errors.md on images is provoked.
type imageFault struct {
	prepare func(t *testing.T, r *images.Registry) (args []string)
	remedy  string // part of the line that says what to do
}

// inspecting looks into an image.
func inspecting(one func(t *testing.T) v1.Image, args ...string) func(*testing.T, *images.Registry) []string {
	return func(t *testing.T, r *images.Registry) []string {
		return append([]string{"inspect", r.Put(t, "test/pass:v1", one(t))}, args...)
	}
}

// answering looks into an image of a registry that gives other answers.
func answering(before images.Before) func(*testing.T, *images.Registry) []string {
	return func(t *testing.T, r *images.Registry) []string {
		name := r.Put(t, "test/pass:v1", passImage(t))
		r.Do(before)
		return []string{"inspect", name}
	}
}

// notFound has a registry without images.
func notFound(w http.ResponseWriter, r *http.Request) bool {
	if filepath.Base(filepath.Dir(r.URL.Path)) != "manifests" {
		return false
	}
	w.WriteHeader(http.StatusNotFound)
	return true
}

var imageFaults = map[string]imageFault{
	"image-name":    {func(*testing.T, *images.Registry) []string { return []string{"inspect", "oci://pass"} }, "oci://quay.io/NAME/REPOSITORY:TAG"},
	"image-absent":  {answering(notFound), "look at the name, the tag and the digest"},
	"image-refused": {answering(images.Unauthorized), "docker login"},
	"image-away": {func(t *testing.T, r *images.Registry) []string {
		r.Close()
		return []string{"inspect", r.Name("test/pass:v1")}
	}, "needs no registry if it is named by its digest"},
	"image-silent": {answering(func(_ http.ResponseWriter, r *http.Request) bool {
		<-r.Context().Done() // the client gives up
		return true
	}), "needs no registry if it is named by its digest"},
	"image-broken": {answering(func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	}), "try again later"},
	"image-lies":   {answering(images.Blobs(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "short") })), "the proxy before it"},
	"image-layers": {inspecting(func(t *testing.T) v1.Image { return images.Of(t) }), "xdpmux image build"},
	"image-no-elf": {inspecting(func(t *testing.T) v1.Image {
		return images.Of(t, images.Layer(t, types.OCILayer, []byte("text")))
	}), "xdpmux image build"},
	"image-bomb": {inspecting(func(t *testing.T) v1.Image {
		return images.Of(t, images.Layer(t, types.OCILayer, make([]byte, 32<<20)))
	}), "xdpmux image build"},
	"image-byte-order": {func(t *testing.T, r *images.Registry) []string {
		return []string{"inspect", r.Put(t, "test/pass:other", images.Index(t, "s390x", passImage(t)))}
	}, "for each byte order"},
	"image-unsigned": {func(t *testing.T, r *images.Registry) []string {
		key := filepath.Join(t.TempDir(), "cosign.pub")
		images.PublicKey(t, key)
		return []string{"inspect", "--verify-key", key, r.Put(t, "test/pass:v1", passImage(t))}
	}, "have cosign sign"},
	"image-wrong-key": {func(_ *testing.T, r *images.Registry) []string {
		const signed = "../../dispatcher/registry/testdata/signed"
		r.DoSigned(signed, nil)
		return []string{"inspect", "--verify-key", signed + "/other.pub", r.Name("test/pass:one")}
	}, "before you know who has signed it"},
	"image-key": {inspecting(passImage, "--verify-key", passObject), "cosign generate-key-pair"},
	"image-state": {func(t *testing.T, r *images.Registry) []string {
		r.Do(notFound)
		file := filepath.Join(t.TempDir(), "state.yaml")
		if err := os.WriteFile(file, fmt.Appendf(nil, "interfaces: [{name: lo, programs: [{name: pass, object: %q}]}]", r.Name("test/pass:v1")), 0o600); err != nil {
			t.Fatal(err)
		}
		return []string{"plan", "-f", file}
	}, "look at the name, the tag and the digest"},
	"image-directory": {func(t *testing.T, _ *images.Registry) []string {
		return []string{"image", "push", t.TempDir(), "oci://localhost/pass:v1"}
	}, "OCI image layout"},
}

// TestImageErrors provokes the rows of docs/errors.md on images, in which the kernel has no part.
func TestImageErrors(t *testing.T) {
	doc, err := os.ReadFile("../../docs/errors.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^\| (image-[a-z-]+) \| \| (.+?) \| .*\|$`).FindAllStringSubmatch(string(doc), -1) {
		name, says := m[1], m[2]
		seen[name] = true
		t.Run(name, func(t *testing.T) {
			t.Parallel() // a registry that says nothing takes its time
			f, ok := imageFaults[name]
			if !ok {
				t.Fatal("docs/errors.md has this row, and no test provokes it")
			}
			_, stderr, err := runImage(t, nil, f.prepare(t, images.Start(t, ""))...)
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 1 {
				t.Errorf("%v, want exit status 1", err)
			}
			pattern := "(?m)^xdpmux: " + strings.ReplaceAll(regexp.QuoteMeta(says), "…", ".+?") + "$"
			if !regexp.MustCompile(pattern).MatchString(stderr) || !strings.Contains(stderr, f.remedy) {
				t.Errorf("want %q and %q in:\n%s", says, f.remedy, stderr)
			}
		})
	}
	for name := range imageFaults {
		if !seen[name] {
			t.Errorf("%s has no row in docs/errors.md", name)
		}
	}
}

// runImage runs xdpmux without anybody's credentials.
func runImage(t *testing.T, env []string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	cmd := exec.Command(xdpmux, args...)
	cmd.Env = append(append(os.Environ(), "HOME="+t.TempDir()), env...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	err = cmd.Run()
	return out.String(), said.String(), err
}

// TestImageBuild: of the same objects the same image is built, each time; it says what is in it, for both byte
// orders; and what a registry has is what was built.
func TestImageBuild(t *testing.T) {
	dir := t.TempDir()
	build := func(to string, env ...string) string {
		t.Helper()
		stdout, stderr, err := runImage(t, env, "image", "build", "-o", filepath.Join(dir, to), passObject, "../../build/bpf/fixtures/bigendian.o")
		if err != nil {
			t.Fatalf("%v: %s", err, stderr)
		}
		return strings.TrimSpace(stdout)
	}
	first := build("a")
	if again := build("b"); again != first {
		t.Errorf("%s and %s", first, again)
	}
	if out, err := exec.Command("diff", "-r", filepath.Join(dir, "a"), filepath.Join(dir, "b")).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	if later := build("c", "SOURCE_DATE_EPOCH=1700000000"); later == first {
		t.Error("another time makes the same image")
	}
	if _, stderr, err := runImage(t, []string{"SOURCE_DATE_EPOCH=now"}, "image", "build", "-o", filepath.Join(dir, "d"), passObject); err == nil || !strings.Contains(stderr, `SOURCE_DATE_EPOCH is "now"`) {
		t.Errorf("%v: %s", err, stderr)
	}
	if _, stderr, err := runImage(t, nil, "image", "build", "-o", filepath.Join(dir, "a"), passObject); err == nil || !strings.Contains(stderr, "is there already") {
		t.Errorf("%v: %s", err, stderr)
	}
	r := images.Start(t, "")
	name := r.Name("lab/pass:v1")
	pushed, stderr, err := runImage(t, nil, "image", "push", filepath.Join(dir, "a"), name)
	if want := name + "@" + first + "\n"; err != nil || pushed != want {
		t.Errorf("%q, %v: %s", pushed, err, stderr)
	}
	said, stderr, err := runImage(t, nil, "image", "inspect", "--json", name)
	if err != nil {
		t.Fatalf("%v: %s", err, stderr)
	}
	var all []struct {
		Digest    string
		Platforms []struct {
			Architecture string
			Here         bool
		}
		Programs map[string]string
	}
	if err := json.Unmarshal([]byte(said), &all); err != nil {
		t.Fatal(err)
	}
	here := 0
	var archs []string
	for _, p := range all[0].Platforms {
		archs = append(archs, p.Architecture)
		if p.Here {
			here++
		}
	}
	if all[0].Digest != first || here != 1 || !slices.Contains(archs, "s390x") || !slices.Contains(archs, "amd64") || all[0].Programs["xdp_pass"] != "xdp" {
		t.Errorf("%+v", all)
	}
}
