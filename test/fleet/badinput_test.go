package fleet

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/vishvananda/netlink"

	"github.com/xdpmux/xdpmux/test/harness"
	"github.com/xdpmux/xdpmux/test/harness/images"
)

// TestBadImages: what is wrong with an image, or with its registry, stands in the node's log and
// metrics, in an event and in a condition of the XDPNode, and in a condition and the metrics of the
// XDPChain. The node is a process with a real agent, in a network namespace; nothing is ever attached
// there, and the chain beside those stays as it was.
func TestBadImages(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("a network namespace needs root")
	}
	f := newFleet(t, 0)
	f.lead("a")
	registry := images.Start(t, "")
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	registry.Do(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/hangs/") && r.Method == http.MethodGet {
			<-hang
			return true
		}
		return strings.Contains(r.URL.Path, "/lies/") && r.Method == http.MethodGet && images.Blobs(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, "short")
		})(w, r)
	})

	elf := append([]byte{0x7f, 'E', 'L', 'F', 2, 1, 1, 0}, "and no more"...)
	good := images.Of(t, images.Layer(t, types.OCILayer, elf))
	signer, other := newKey(t), newKey(t)
	signed := signature(t, good, signer)
	digest, err := good.Digest()
	if err != nil {
		t.Fatal(err)
	}
	registry.Put(t, "signed:"+strings.Replace(digest.String(), ":", "-", 1)+".sig", signed)
	cases := []struct {
		title, object, key string
		want               string
		kind               string // of the agent's metric
	}{
		{"hangs", registry.Name("hangs:v1"), "", "it has said nothing for too long", "registry out of reach"},
		{"lies", registry.Put(t, "lies:v1", good), "", "is not what it has announced", "unusable image"},
		{"bomb", registry.Put(t, "bomb:v1", images.Of(t, images.Layer(t, types.OCILayer, make([]byte, 17<<20+1)))), "", "unpacks to more than 17 MiB", "unusable image"},
		{"layers", registry.Put(t, "layers:v1", images.Of(t, images.Layer(t, types.OCILayer, elf), images.Layer(t, types.OCILayer, elf))), "", "has 2 layers", "unusable image"},
		{"noelf", registry.Put(t, "noelf:v1", images.Of(t, images.Layer(t, types.OCILayer, []byte("text")))), "", "holds no ELF object", "unusable image"},
		{"machine", registry.Put(t, "machine:v1", images.Index(t, "s390x", good)), "", "has no object for " + runtime.GOARCH, "unusable image"},
		{"order", registry.Put(t, "order:v1", images.Of(t, images.Layer(t, types.OCILayer, file(t, "build/bpf/fixtures/bigendian.o")))), "", "has the byte order of another machine", "unusable object file"},
		{"unsigned", registry.Put(t, "unsigned:v1", good), public(t, signer), "is not signed, and has to be", "image not signed"},
		{"signed", registry.Put(t, "signed:v1", good), public(t, other), "is signed, but not by", "image not signed"},
		{"absent", registry.Name("absent:v1"), "", "has no oci://", "unusable image"},
		{"moved", registry.Put(t, "moved:v1", good), "", "", ""}, // see below
	}

	ns := harness.NewNetns(t)
	_, apiPort, _ := net.SplitHostPort(strings.TrimPrefix(f.url, "https://"))
	_, registryPort, _ := net.SplitHostPort(registry.Host)
	forward(t, ns, apiPort, registryPort)
	ns.Do(t, func() {
		for _, c := range cases {
			if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: c.title}, PeerName: c.title + "-peer"}); err != nil {
				t.Fatal(err)
			}
		}
	})
	token := f.register("bad")
	_, log := f.command(ns, token, "node", "--name", "bad", "--listen", "127.0.0.1:9436", "--count", "nothing")
	f.mustIn(chainText("beside", "absent0", "/v1.o"), "apply", "-f", "-")
	f.says("beside", "Complete: 1 of 1")
	var all strings.Builder
	for _, c := range cases {
		program := map[string]string{"name": "p", "object": c.object}
		if c.key != "" {
			program["verify-key"] = c.key
		}
		text, err := json.Marshal(map[string]any{"apiVersion": "xdpmux.io/v1alpha1", "kind": "XDPChain", "metadata": map[string]any{"name": c.title},
			"spec": map[string]any{"interfaces": []any{map[string]any{"name": c.title, "programs": []any{program}}}}})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&all, "---\n%s\n", text)
	}
	f.mustIn(all.String(), "apply", "-f", "-")

	var seen struct{ log, metrics string }
	look := func() {
		seen.log, seen.metrics = string(file(t, log)), get(t, ns, "http://127.0.0.1:9436/metrics")
	}
	for _, c := range cases[:len(cases)-1] {
		f.says(c.title, "TakenBack: node bad: ")
		if out := f.rollout(c.title); !strings.Contains(out, c.want) {
			t.Errorf("%s: the condition of the chain is %s", c.title, out)
		}
		f.event(c.title, "TakenBack", c.want)
		f.event("bad", "Failed", c.want)
		look()
		if !strings.Contains(seen.log, c.want) {
			t.Errorf("%s: not in the log", c.title)
		}
		if !strings.Contains(seen.metrics, fmt.Sprintf("xdpmux_agent_errors_total{kind=%q}", c.kind)) {
			t.Errorf("%s: no error of kind %q in the metrics", c.title, c.kind)
		}
	}

	// A tag moves while somebody changes the chain.
	f.says("moved", "TakenBack: node bad: ") // it is no object, but was fetched
	registry.Put(t, "moved:v1", images.Of(t, images.Layer(t, types.OCILayer, append(slices.Clone(elf), '2'))))
	f.must("patch", "xdpchain", "moved", "--type=json", "-p", `[{"op":"add","path":"/spec/interfaces/0/programs/0/priority","value":7}]`)
	f.event("bad", "TagMoved", registry.Name("moved:v1")+" stands for sha256:")
	look()
	if !strings.Contains(seen.log, "this tag has moved") || !strings.Contains(seen.metrics, "xdpmux_agent_tags_moved_total 1") {
		t.Errorf("%s\n%s", seen.log, seen.metrics)
	}

	if out := f.rollout("beside"); !strings.HasPrefix(out, "Complete: 1 of 1") {
		t.Errorf("the chain beside: %s", out)
	}
	ns.Do(t, func() {
		for _, c := range cases {
			link, err := netlink.LinkByName(c.title)
			if err != nil {
				t.Fatal(err)
			}
			if x := link.Attrs().Xdp; x != nil && x.Attached {
				t.Errorf("%s has a program", c.title)
			}
		}
	})
}

func file(t *testing.T, name string) []byte {
	t.Helper()
	if !strings.HasPrefix(name, "/") {
		name = repo(t, name)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// get is what a server in a network namespace answers.
func get(t *testing.T, ns *harness.Netns, url string) (body string) {
	t.Helper()
	ns.Do(t, func() {
		// Connections are made by this thread.
		connection, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(url, "http://"), "/metrics"))
		if err != nil {
			t.Fatal(err)
		}
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, Dial: func(string, string) (net.Conn, error) { return connection, nil }}}
		answer, err := client.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		body = string(text)
	})
	return body
}

// forward has this machine's loopback answer at ports of a network namespace's.
func forward(t *testing.T, ns *harness.Netns, ports ...string) {
	t.Helper()
	for _, port := range ports {
		address := "127.0.0.1:" + port
		ns.Do(t, func() {
			l, err := net.Listen("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
			go func() {
				for {
					from, err := l.Accept()
					if err != nil {
						return
					}
					go join(from, address)
				}
			}()
		})
	}
}

func join(from net.Conn, address string) {
	defer from.Close()
	to, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer to.Close()
	var both sync.WaitGroup
	for _, pair := range [][2]net.Conn{{from, to}, {to, from}} {
		both.Go(func() {
			_, _ = io.Copy(pair[0], pair[1])
			pair[0].Close()
		})
	}
	both.Wait()
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func public(t *testing.T, key *ecdsa.PrivateKey) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// signature is what cosign stores beside an image that it signs.
func signature(t *testing.T, of v1.Image, key *ecdsa.PrivateKey) v1.Image {
	t.Helper()
	digest, err := of.Digest()
	if err != nil {
		t.Fatal(err)
	}
	payload := fmt.Appendf(nil, `{"critical":{"identity":{"docker-reference":""},"image":{"docker-manifest-digest":%q},"type":"cosign container image signature"},"optional":null}`, digest)
	sum := sha256.Sum256(payload)
	signed, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
	if err == nil {
		of, err = mutate.Append(empty.Image, mutate.Addendum{Layer: static.NewLayer(bytes.Clone(payload), "application/vnd.dev.cosign.simplesigning.v1+json"),
			Annotations: map[string]string{"dev.cosignproject.cosign/signature": base64.StdEncoding.EncodeToString(signed)}})
	}
	if err != nil {
		t.Fatal(err)
	}
	return of
}
