package fleet

import (
	"archive/tar"
	"debug/elf"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
)

// TestImage: what Containerfile makes holds one static binary, which runs on nothing else. A node runs
// of it as its pod does: with the volumes of deploy/node.yaml, and what a pod is told of the API server.
func TestImage(t *testing.T) {
	if _, err := exec.LookPath("buildah"); err != nil {
		t.Skip("buildah isn't installed")
	}
	if os.Geteuid() != 0 {
		t.Skip("buildah's chroot, and that of the node, need root")
	}
	root := unpack(t, build(t))
	out, err := exec.Command("chroot", root, "/xdpmux-kube", "--version").CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "xdpmux-kube ") {
		t.Errorf("%v: %s", err, out)
	}

	f := newFleet(t, 0)
	f.lead("a")
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(f.url, "https://"))
	const secrets = "/var/run/secrets/kubernetes.io/serviceaccount/"
	for name, data := range map[string][]byte{secrets + "token": []byte(f.register("n0")), secrets + "ca.crt": file(t, f.file("certs/apiserver.crt")), "/etc/machine-id": []byte("machine")} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(root+name), 0o755), os.WriteFile(root+name, data, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{"/proc", "/sys", "/run/xdpmux", "/var/lib/xdpmux"} {
		if err := os.MkdirAll(root+dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	const pod = `set -e; cd "$1"; mount -t proc proc proc; mount --rbind /sys sys
		exec env -i KUBERNETES_SERVICE_HOST=127.0.0.1 KUBERNETES_SERVICE_PORT="$2" "$(command -v chroot)" . /xdpmux-kube node --name=n0 --json`
	log := filepath.Join(t.TempDir(), "log")
	p, err := start(log, "unshare", "-m", "sh", "-c", pod, "sh", root, port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s", file(t, log))
		}
	})
	f.mustIn(chainText("edge", "absent0", "/v1.o"), "apply", "-f", "-")
	f.says("edge", "Complete: 1 of 1")
}

// build builds the image of Containerfile.
func build(t *testing.T) v1.Image {
	t.Helper()
	dir := t.TempDir()
	buildah := func(args ...string) {
		args = append([]string{"--storage-driver", "vfs", "--root", dir + "/root", "--runroot", dir + "/run"}, args...)
		if out, err := exec.Command("buildah", args...).CombinedOutput(); err != nil {
			t.Fatalf("buildah %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	buildah("build", "--isolation", "chroot", "-t", "xdpmux-kube", repo(t, ""))
	buildah("push", "xdpmux-kube", "oci:"+dir+"/oci")
	index, err := layout.ImageIndexFromPath(dir + "/oci")
	if err != nil {
		t.Fatal(err)
	}
	all, err := index.IndexManifest()
	if err != nil || len(all.Manifests) != 1 {
		t.Fatal(all, err)
	}
	image, err := index.Image(all.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// unpack writes the one file of the image below a directory, and returns that.
func unpack(t *testing.T, image v1.Image) string {
	t.Helper()
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	c := config.Config
	if !slices.Equal(c.Entrypoint, []string{"/xdpmux-kube"}) || c.User != "" || c.Labels["org.opencontainers.image.title"] != "xdpmux-kube" {
		t.Errorf("%+v", c)
	}
	layers, err := image.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatal(layers, err)
	}
	r, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	files := tar.NewReader(r)
	root := t.TempDir()
	for {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Name != "xdpmux-kube" || h.Mode&0o111 == 0 || h.Uid != 0 {
			t.Errorf("there is %s too, of %d with mode %o", h.Name, h.Uid, h.Mode)
			continue
		}
		data, err := io.ReadAll(files)
		if err == nil {
			err = os.WriteFile(root+"/xdpmux-kube", data, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	binary, err := elf.Open(root + "/xdpmux-kube")
	if err != nil {
		t.Fatal(err)
	}
	defer binary.Close()
	if libraries, err := binary.ImportedLibraries(); err != nil || len(libraries) > 0 {
		t.Errorf("it needs %v: %v", libraries, err)
	}
	return root
}
