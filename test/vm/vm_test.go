package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

func TestNewestPackage(t *testing.T) {
	names := strings.Fields(`
		linux-image-6.1.0-9-cloud-amd64 linux-image-6.1.0-56-cloud-amd64
		linux-image-6.1.0-57-cloud-amd64-dbg linux-image-6.1.0-57-cloud-amd64-unsigned linux-image-6.1.0-57-amd64
		linux-image-6.12-cloud-amd64 linux-image-6.12.9+deb12-cloud-amd64 linux-image-6.12.117+deb12-cloud-amd64
		linux-image-6.8.0-31-generic linux-image-unsigned-6.8.0-32-generic
		linux-image-6.12.63+deb13+1-cloud-amd64 .fetch-1234`)
	for series, want := range map[string]string{
		"6.1":  "linux-image-6.1.0-56-cloud-amd64",
		"6.12": "linux-image-6.12.117+deb12-cloud-amd64",
		"6.8":  "linux-image-6.8.0-31-generic",
		"6.2":  "",
	} {
		if got := newestPackage(series, "amd64", names); got != want {
			t.Errorf("%s: got %q, want %q", series, got, want)
		}
	}
	if got, want := seriesIn("amd64", names), []string{"6.1", "6.8", "6.12"}; !slices.Equal(got, want) {
		t.Errorf("series: got %q, want %q", got, want)
	}
	sid := strings.Fields("linux-modules-7.2.13+deb14-cloud-amd64 linux-base-7.2.13+deb14-cloud-amd64 linux-binary-unsigned-7.2.13+deb14-cloud-amd64 linux-binary-7.2.13+deb14-cloud-amd64")
	if got, want := packagesOf("linux-image-7.2.13+deb14-cloud-amd64", sid), []string{"linux-image-7.2.13+deb14-cloud-amd64", sid[3], sid[0]}; !slices.Equal(got, want) {
		t.Errorf("parts: got %q, want %q", got, want)
	}
}

// TestKernelNames takes the words newest and all from the cache where apt isn't there.
func TestKernelNames(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("XDPMUX_CACHE", cache)
	t.Setenv("PATH", t.TempDir())
	if _, err := kernelNames(t.Context(), "amd64", []string{"newest"}); err == nil || !strings.Contains(err.Error(), "no apt-cache here") {
		t.Errorf("without any kernel: %v", err)
	}
	for _, pkg := range []string{"linux-image-6.12.117+deb12-cloud-amd64", "linux-image-6.1.0-56-cloud-amd64"} {
		if err := os.MkdirAll(filepath.Join(cache, "kernels", pkg), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for names, want := range map[string]string{"newest": "6.12", "all": "6.1 6.12", "7.2 newest /boot/vmlinuz": "7.2 6.12 /boot/vmlinuz"} {
		got, err := kernelNames(t.Context(), "amd64", strings.Fields(names))
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s: got %q, %v; want %s", names, got, err, want)
		}
	}
	for arch, want := range map[string]string{"amd64": "6.1 6.12", "arm64": "6.1 6.12"} {
		if got, err := kernelNames(t.Context(), arch, []string{"all"}); err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s: got %q, %v", arch, got, err)
		}
	}
	if _, err := kernelNames(t.Context(), "amd64", nil); err == nil {
		t.Error("no name at all was taken")
	}
}

func TestParseOptions(t *testing.T) {
	for _, c := range []struct {
		args     string
		patterns string
		command  string
		wantErr  string
	}{
		{"", "./cgo/... ./dispatcher/... ./test/...", "", ""},
		{"-kernel 6.1 ./x", "./x", "", ""},
		{"-kernel 6.1 -- ls -l --", "", "ls -l --", ""},
		{"./x -- ls", "", "", "give one of them"},
		{"--", "", "", "no command"},
		{"-add :x", "", "", "exit status 2"},
	} {
		o, err := parseOptions(strings.Fields(c.args), io.Discard)
		if c.wantErr != "" {
			if err == nil || !strings.Contains(err.Error(), c.wantErr) {
				t.Errorf("%q: error %v, want %q", c.args, err, c.wantErr)
			}
			continue
		}
		if err != nil || strings.Join(o.patterns, " ") != c.patterns || strings.Join(o.command, " ") != c.command {
			t.Errorf("%q: got %q, %q, %v", c.args, o.patterns, o.command, err)
		}
	}
	// Tests get all cards, a command those that are asked for.
	for args, want := range map[string]string{
		"./x": strings.Join(cardNames(), " "), "-- x": "", "-cards vmxnet3 ./x": "vmxnet3", "-cards vmxnet3 -- x": "vmxnet3", "-cards= ./x": "",
	} {
		if o, err := parseOptions(strings.Fields(args), io.Discard); err != nil || o.cards != want {
			t.Errorf("%q: cards %q, %v; want %q", args, o.cards, err, want)
		}
	}
	o, err := parseOptions(strings.Fields("-add a -add b:/etc/c -add d:e -- x"), io.Discard)
	want := []addition{{"a", "/repo/a"}, {"b", "/etc/c"}, {"d", "/repo/e"}}
	if err != nil || !slices.Equal(o.add, want) {
		t.Errorf("-add: got %v, %v; want %v", o.add, err, want)
	}
}

func TestReadPayload(t *testing.T) {
	const stream = "before\x1ewrong 1\n\x1eN boot\nhalf a line\x1eN start 2\n\x1e\x1e\x1eN exit 2 7\nafter\x1eN done\nnever"
	const wantText = "before\x1ewrong 1\nhalf a line\x1e\x1eafter"
	wantMarks := []mark{{kind: markBoot}, {kind: markStart, suite: 2}, {kind: markExit, suite: 2, status: 7}}
	for name, in := range map[string]io.Reader{
		"at once":      strings.NewReader(stream),
		"byte by byte": iotest.OneByteReader(strings.NewReader(stream)),
	} {
		var text bytes.Buffer
		var marks []mark
		err := readPayload(in, "N", &text, func(m mark) { marks = append(marks, m) })
		if err != nil || text.String() != wantText || !slices.Equal(marks, wantMarks) {
			t.Errorf("%s: got %q, %v, %v", name, text.String(), marks, err)
		}
	}
}

func TestReadPayloadFailures(t *testing.T) {
	for _, c := range []struct{ stream, text, err string }{
		{"text\x1eN exi", "text\x1eN exi", errNoDone.Error()},
		{"text\x1eN exit 1\n", "text", "garbled mark"},
		{"text\x1eN exit a b\n", "text", "garbled mark"},
	} {
		var text bytes.Buffer
		err := readPayload(strings.NewReader(c.stream), "N", &text, func(mark) {})
		if err == nil || !strings.Contains(err.Error(), c.err) || text.String() != c.text {
			t.Errorf("%q: got %q, %v", c.stream, text.String(), err)
		}
	}
	if err := readPayload(strings.NewReader("\x1eN don"), "N", io.Discard, nil); !errors.Is(err, errNoDone) {
		t.Errorf("got %v", err)
	}
}

// The script has to say what readPayload understands: run it in a shell of the host.
func TestPayloadScript(t *testing.T) {
	o := options{command: []string{"sh", "-c", `echo "it's $0"; echo err >&2; exit 3`, "a  b"}}
	t.Setenv("XDPMUX_TEST_SEED", "it's 4")
	script := strings.Replace(payloadScript(o, nil, nil, nil, "N"), "cd /repo", "cd /", 1)
	out, err := exec.Command("sh", "-c", script).Output()
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	var last mark
	if err := readPayload(bytes.NewReader(out), "N", &text, func(m mark) { last = m }); err != nil {
		t.Fatal(err)
	}
	if text.String() != "it's a  b\n" || last != (mark{kind: markExit, status: 3}) {
		t.Errorf("got %q, %v", text.String(), last)
	}
	if !strings.Contains(script, `export XDPMUX_TEST_SEED='it'\''s 4'`) {
		t.Errorf("no seed in:\n%s", script)
	}
}

func TestCards(t *testing.T) {
	if _, err := chooseCards(t.Context(), []string{"vmxnet3", "ne2000"}, io.Discard); err == nil || !strings.Contains(err.Error(), `no cards "ne2000"; there are virtio_net, `) {
		t.Errorf("got %v", err)
	}
	chosen, err := chooseCards(t.Context(), []string{"vmxnet3"}, io.Discard)
	if err != nil || len(chosen) != 1 {
		t.Fatal(chosen, err)
	}
	machine := strings.Join(machine{arch: "amd64", cards: chosen}.args(), " ")
	script := payloadScript(options{}, chosen, nil, nil, "N")
	for end := range 2 {
		mac := chosen[0].mac(end)
		if !strings.Contains(machine, "hubport,id=cards0-"+fmt.Sprint(end)+",hubid=0 -device vmxnet3,netdev=cards0-"+fmt.Sprint(end)+",mac="+mac) {
			t.Errorf("no card %s in %s", mac, machine)
		}
		if !strings.Contains(script, mac) || strings.Contains(script, "modprobe") {
			t.Errorf("no card %s, or a driver, in:\n%s", mac, script)
		}
	}
	if script := payloadScript(options{command: []string{"x"}}, chosen, nil, nil, "N"); !strings.Contains(script, "in virtio_pci vmxnet3; do modprobe") {
		t.Errorf("no driver in:\n%s", script)
	}
}

func TestUserNet(t *testing.T) {
	args := strings.Join(machine{arch: "amd64", userNet: true}.args(), " ")
	if !strings.Contains(args, "-netdev user,id=user -device virtio-net-pci,netdev=user,mac="+userMAC) {
		t.Errorf("no such card in %s", args)
	}
	if script := payloadScript(options{userNet: true}, nil, nil, nil, "N"); !strings.Contains(script, "grep -ls "+userMAC) {
		t.Errorf("it isn't brought up:\n%s", script)
	}
	for _, c := range allCards {
		if c.mac(0) == userMAC || c.mac(1) == userMAC {
			t.Errorf("%s has its address", c.name)
		}
	}
}

func TestArchive(t *testing.T) {
	src := filepath.Join(t.TempDir(), "src")
	if err := os.WriteFile(src, []byte("12345"), 0o700); err != nil {
		t.Fatal(err)
	}
	a := archive{}
	a.text("/init", "x", 0o755)
	a.link("/bin", "usr/bin")
	if err := a.file("/bin/tool", src); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := a.write(&out); err != nil {
		t.Fatal(err)
	}
	// Name, mode and contents of each entry, taken apart by the format's own rule.
	var got []string
	for b := out.Bytes(); ; {
		field := func(i int) int {
			var n int
			fmt.Sscanf(string(b[6+8*i:14+8*i]), "%x", &n)
			return n
		}
		up := func(n int) int { return (n + 3) &^ 3 }
		if string(b[:6]) != "070701" {
			t.Fatalf("no header at %q", b)
		}
		body := up(110 + field(11))
		name := string(b[110 : 110+field(11)-1])
		if name == "TRAILER!!!" {
			break
		}
		got = append(got, fmt.Sprintf("%s %o %s", name, field(1), b[body:body+field(6)]))
		b = b[body+up(field(6)):]
	}
	want := []string{"bin 120777 usr/bin", "init 100755 x", "usr 40755 ", "usr/bin 40755 ", "usr/bin/tool 100700 12345"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestArchiveMissingFile(t *testing.T) {
	a := archive{}
	if err := a.file("/x", "/nowhere/x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if err := a.file("/x", "/dev/null"); err == nil {
		t.Error("a device was taken for a file")
	}
}

func TestImageRelease(t *testing.T) {
	image := make([]byte, 0x400)
	copy(image[0x202:], "HdrS")
	binary.LittleEndian.PutUint16(image[0x20e:], 0x100)
	copy(image[0x300:], "6.12.117+deb12-cloud-amd64 (debian-kernel@lists.debian.org) #1 SMP\x00")
	file := filepath.Join(t.TempDir(), "vmlinuz")
	for _, c := range []struct {
		contents []byte
		want     string
		wantErr  string
	}{
		{image, "6.12.117+deb12-cloud-amd64", ""},
		{image[:0x2ff], "", "names no release"},
		{[]byte("\x7fELF"), "", "not a bootable"},
		{nil, "", "not a bootable"},
	} {
		if err := os.WriteFile(file, c.contents, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := bzImageRelease(file)
		if got != c.want || (err == nil) != (c.wantErr == "") || err != nil && !strings.Contains(err.Error(), c.wantErr) {
			t.Errorf("got %q, %v; want %q, %q", got, err, c.want, c.wantErr)
		}
	}
}

func TestArm64Release(t *testing.T) {
	image := make([]byte, 0x100)
	copy(image[0x38:], "ARM\x64")
	named := append(slices.Clone(image), "Linux version %s\x00Linux version 6.1.0-56-cloud-arm64 (debian-kernel@lists.debian.org) #1"...)
	file := filepath.Join(t.TempDir(), "vmlinuz")
	for _, c := range []struct {
		contents []byte
		want     string
		wantErr  string
	}{
		{named, "6.1.0-56-cloud-arm64", ""},
		{image, "", "names no release"},
		{[]byte("MZ"), "", "not a bootable arm64"},
	} {
		if err := os.WriteFile(file, c.contents, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := arm64Release(file)
		if got != c.want || (err == nil) != (c.wantErr == "") || err != nil && !strings.Contains(err.Error(), c.wantErr) {
			t.Errorf("got %q, %v; want %q, %q", got, err, c.want, c.wantErr)
		}
	}
}

// TestLibraries looks at libraries that need each other, in the folder that a program names.
func TestLibraries(t *testing.T) {
	sys := system{arch: runtime.GOARCH}
	a := archive{}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{self, lookPath("ip")} {
		if err := a.file("/tests/"+filepath.Base(file), file); err != nil {
			t.Fatal(err)
		}
	}
	if err := addLibraries(a, sys); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("ldd", lookPath("ip")).Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(out), "\n") {
		if lib, _, ok := strings.Cut(line[strings.LastIndex(line, "> ")+1:], " (0x"); ok && strings.Contains(lib, "/") && !a.has(strings.TrimSpace(lib)) {
			t.Errorf("%s is missing, of:\n%s", lib, out)
		}
	}
	elsewhere := system{arch: runtime.GOARCH, root: t.TempDir()}
	if err := addLibraries(a, elsewhere); err == nil || !strings.Contains(err.Error(), "for the VM") {
		t.Errorf("from an empty root: %v", err)
	}
}

func TestHasVirtualisation(t *testing.T) {
	for info, want := range map[string]bool{
		"flags\t\t: fpu vmx sse\n":                        true,
		"flags\t\t: svm\n":                                true,
		"flags\t\t: fpu\nvmx flags\t: vnmi\nbugs : vmx\n": false,
		"": false,
	} {
		if got := hasVirtualisation(info); got != want {
			t.Errorf("%q: %v", info, got)
		}
	}
}

func TestClosure(t *testing.T) {
	deps := map[string][]string{"bridge": {"stp", "llc"}, "stp": {"llc"}, "llc": {}}
	if got := closure(deps, "bridge"); got[0] != "bridge" || got[len(got)-1] != "llc" {
		t.Errorf("got %v", got)
	}
}

func TestLastWords(t *testing.T) {
	const log = "one\r\n[ 3.1] Kernel panic - not syncing: sysrq triggered crash\r\n[ 3.2]  ? guess+0x1/0x2\r\n\r\n[ 3.3]  sure+0x1/0x2\r\n"
	tail, panicked := lastWords(log, 2)
	want := []string{"[ 3.1] Kernel panic - not syncing: sysrq triggered crash", "[ 3.3]  sure+0x1/0x2"}
	if !slices.Equal(tail, want) || panicked != "sysrq triggered crash" {
		t.Errorf("got %q, %q", tail, panicked)
	}
	if tail, panicked := lastWords("", 2); len(tail) != 0 || panicked != "" {
		t.Errorf("got %q, %q", tail, panicked)
	}
}
