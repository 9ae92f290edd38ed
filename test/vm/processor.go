package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"regexp"
	"strings"
)

// processor is what differs from one architecture of VMs to the next.
type processor struct {
	qemu    string                             // the program
	pkg     string                             // that has it
	machine []string                           // arguments of qemu
	model   string                             // of the processor, where it is emulated
	console string                             // the kernel's name of the first serial port
	payload []string                           // arguments for the second one, named tty in the VM
	tty     string                             // the kernel's name of that
	release func(image string) (string, error) // of a kernel image
}

// processors has the architectures by Go's names.
var processors = map[string]processor{
	"amd64": {
		qemu: "qemu-system-x86_64", pkg: "qemu-system-x86", model: "max",
		console: "ttyS0", tty: "ttyS1", payload: []string{"-serial", "stdio"},
		release: bzImageRelease,
	},
	// The machine has one serial port; the other one is a PCI card.
	"arm64": {
		qemu: "qemu-system-aarch64", pkg: "qemu-system-arm", machine: []string{"-machine", "virt"}, model: "cortex-a72",
		console: "ttyAMA0", tty: "ttyS0", payload: []string{"-chardev", "stdio,id=payload", "-device", "pci-serial,chardev=payload"},
		release: arm64Release,
	},
}

// bzImageRelease reads the release from the header of a bzImage; see "The Linux/x86
// Boot Protocol", fields header and kernel_version.
func bzImageRelease(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	head := make([]byte, 64<<10)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return "", err
	}
	head = head[:n]
	if len(head) < 0x210 || string(head[0x202:0x206]) != "HdrS" {
		return "", errors.New("not a bootable x86 kernel image (bzImage)")
	}
	at := int(binary.LittleEndian.Uint16(head[0x20e:])) + 0x200
	if at >= len(head) {
		return "", errors.New("its header names no release")
	}
	version, _, _ := bytes.Cut(head[at:], []byte{0})
	release, _, _ := strings.Cut(string(version), " ")
	return release, nil
}

var bannerRE = regexp.MustCompile(`Linux version ([^ ]+) \(`)

// arm64Release finds the release in an Image; see "Booting AArch64 Linux", field magic.
func arm64Release(path string) (string, error) {
	image, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	if len(image) < 64 || string(image[0x38:0x3c]) != "ARM\x64" {
		return "", errors.New("not a bootable arm64 kernel image (Image)")
	}
	banner := bannerRE.FindSubmatch(image)
	if banner == nil {
		return "", errors.New("it names no release")
	}
	return string(banner[1]), nil
}
