package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/gopacket/gopacket/pcapgo"
)

const (
	captureVeth    = "capt"
	captureRounds  = 5
	captureSeconds = 6
)

// capturingTool is what captures, and what came of it in each round.
type capturingTool struct {
	command  []string  // empty: none
	sent, in []float64 // packets a second: of the flood, and those in the file
}

// lost is the part of the packets that isn't in the file.
func (t capturingTool) lost() (parts []float64) {
	for i := range t.sent {
		parts = append(parts, 1-t.in[i]/t.sent[i])
	}
	return parts
}

// capturing has the native tool and trace capture the same flood as it leaves a chain of two.
func capturing(ctx context.Context, w io.Writer) error {
	progress("capturing")
	if err := addPair(ctx, captureVeth); err != nil {
		return err
	}
	for _, name := range []string{captureVeth, captureVeth + "p"} {
		if err := do(ctx, "ip", "link", "set", name, "up"); err != nil {
			return err
		}
	}
	if err := loadPass(ctx, []string{captureVeth}, 2); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "xdpmux-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "capture.pcapng")
	tools := []capturingTool{
		{}, // nobody captures
		{command: []string{"xdpdump", "-i", captureVeth, "--rx-capture", "exit", "-w", file}},
		{command: []string{ours, "trace", captureVeth, "-w", file}},
	}
	for range captureRounds {
		for i := range tools {
			t := &tools[i]
			sent, in, err := captured(ctx, t.command, file)
			if err != nil {
				return err
			}
			t.sent, t.in = append(t.sent, float64(sent)/captureSeconds), append(t.in, float64(in)/captureSeconds)
		}
	}
	processors := map[bool]string{true: "one processor", false: fmt.Sprint(runtime.NumCPU(), " processors")}[runtime.NumCPU() == 1]
	fmt.Fprintf(w, `
## Capturing, %s

%s
Packets of 60 to 1500 bytes, as they leave a chain of two programs on a veth, under the same flood of %d seconds: the
median of %d rounds in turn. Both write whole packets, each with its length. Lost is what isn't in the file of what was
sent. Of two processors one floods. With one processor flood and capture take turns.

| | sent a second | in the file | lost |
|---|---:|---:|---:|
`, processors, machine(), captureSeconds, captureRounds)
	for i, name := range []string{"nobody captures", "xdpdump --rx-capture exit -w", "xdpmux trace -w"} {
		sent, in := median(tools[i].sent), median(tools[i].in)
		if tools[i].command == nil {
			fmt.Fprintf(w, "| %s | %.0f | | |\n", name, sent)
			continue
		}
		fmt.Fprintf(w, "| %s | %.0f | %.0f | %.1f %% |\n", name, sent, in, 100*median(tools[i].lost()))
	}
	if runtime.NumCPU() == 1 {
		fmt.Fprint(w, counted)
	}
	return do(ctx, ours, "unload", captureVeth, "-a")
}

// counted is what was found apart, once: each run of it takes minutes.
const counted = `
In instructions, which no other load of the machine disturbs: with qemu -icount a packet of this flood, with the file that
it is written to, took 13,100 with xdpdump and 13,400 with xdpmux on one processor (Linux 6.12, -cpu max,-erms,-fsrm:
else qemu counts each byte that rep movsb copies, and it is 15,300 and 16,000).
`

// capturedLength is the length of packet n.
func capturedLength(n uint64) int { return 60 + int(n%1441) }

// captured runs a command, if there is one, that captures to a file until Ctrl-C, and floods it. It returns how
// many packets were sent, and how many of them are in the file.
func captured(ctx context.Context, command []string, file string) (sent uint64, in int, err error) {
	stop := func() error { return nil }
	if command != nil {
		if stop, err = capture(ctx, command, file); err != nil {
			return 0, 0, fmt.Errorf("%q: %w", command, err)
		}
	}
	ending, err := flood(captureVeth+"p", capturedLength)
	if err != nil {
		return 0, 0, errors.Join(err, stop())
	}
	time.Sleep(captureSeconds * time.Second)
	sent = ending()
	if err := stop(); err != nil {
		return 0, 0, fmt.Errorf("%q: %w", command, err)
	}
	if command == nil {
		return sent, 0, nil
	}
	if in, err = recorded(file); err != nil {
		return 0, 0, fmt.Errorf("%q: %w", command, err)
	}
	progress("%s: %d of %d packets", command[0], in, sent)
	return sent, in, os.Remove(file)
}

// capture starts a command that captures, and waits until it says so. stop ends it.
func capture(ctx context.Context, command []string, file string) (stop func() error, err error) {
	said, err := os.Create(file + ".out")
	if err != nil {
		return nil, err
	}
	defer said.Close()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop = func() error {
		_ = cmd.Process.Signal(syscall.SIGINT)
		return cmd.Wait()
	}
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		info, err := said.Stat()
		if err != nil {
			return nil, errors.Join(err, stop())
		}
		if info.Size() > 0 {
			return stop, nil
		}
	}
	return nil, errors.Join(errors.New("it doesn't begin to capture"), stop())
}

// recorded is how many packets of the flood are in the file, each once and whole.
func recorded(file string) (n int, err error) {
	f, err := os.Open(file)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	r, err := pcapgo.NewNgReader(f, pcapgo.DefaultNgReaderOptions)
	if err != nil {
		return 0, err
	}
	seen := map[uint64]bool{}
	for {
		data, info, err := r.ZeroCopyReadPacketData()
		if errors.Is(err, io.EOF) {
			return len(seen), nil
		}
		if err != nil {
			return 0, err
		}
		number, ok := floodNumber(data)
		if !ok {
			continue
		}
		if want := capturedLength(number); info.Length != want || info.CaptureLength != want || seen[number] {
			return 0, fmt.Errorf("packet %d of %d bytes is there with %d of %d, seen before: %v", number, want, info.CaptureLength, info.Length, seen[number])
		}
		seen[number] = true
	}
}
