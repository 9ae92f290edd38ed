package transaction

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/harness"
)

// setConstant gives an object's .rodata another content, as the skeletons of libbpf do.
func setConstant(t *testing.T, value uint64) func(*libbpf.Object) {
	return func(obj *libbpf.Object) {
		i := slices.IndexFunc(obj.Maps(), func(m *libbpf.Map) bool { return strings.HasSuffix(m.Name(), ".rodata") })
		must(t, obj.Maps()[i].SetInitialValue(binary.NativeEndian.AppendUint64(nil, value)))
	}
}

// firstNumber is the first entry of a map with that id, an array of 64-bit numbers. Its name isn't
// enough, as the kernel cuts it.
func firstNumber(t *testing.T, id uint32) uint64 {
	t.Helper()
	fd, err := libbpf.MapByID(id)
	must(t, err)
	defer fd.Close()
	value := make([]byte, 8)
	must(t, libbpf.MapLookup(fd.Int(), make([]byte, 4), value))
	return binary.NativeEndian.Uint64(value)
}

// mapCalled is the id of the map whose name ends so.
func mapCalled(t *testing.T, ids []uint32, suffix string) uint32 {
	t.Helper()
	for _, id := range ids {
		fd, err := libbpf.MapByID(id)
		must(t, err)
		info, err := libbpf.MapInfoByFD(fd.Int())
		fd.Close()
		must(t, err)
		if strings.HasSuffix(info.Name, suffix) {
			return id
		}
	}
	t.Fatalf("no map %s in %v", suffix, ids)
	return 0
}

// TestAdopt takes a program that runs alone into a chain: it goes on with all its maps, its
// variables and its constants, whoever has loaded it, in either mode, and native tools go on
// with the chain.
func TestAdopt(t *testing.T) {
	harness.NoLeak(t)
	object := absolute(t, "adopt")
	for name, load := range map[string]func(*testing.T, *harness.Veth, harness.Mode) (weight uint64){
		"a loader": func(t *testing.T, v *harness.Veth, mode harness.Mode) uint64 {
			v.Attach(t, harness.Lone(t, harness.Fixture("adopt"), "keeps_all", setConstant(t, 7)).FD(), mode)
			return 7
		},
		"xdp-loader": func(t *testing.T, v *harness.Veth, mode harness.Mode) uint64 {
			_, stderr, exit := harness.RunEnv(t, []string{"LIBXDP_SKIP_DISPATCHER=1"}, native, "load", v.Name, object, "-n", "keeps_all", "-m", mode.String())
			if exit != 0 {
				t.Fatal(stderr)
			}
			return 1
		},
		"xdpmux": func(t *testing.T, v *harness.Veth, mode harness.Mode) uint64 {
			_, stderr, exit := harness.RunEnv(t, []string{"LIBXDP_SKIP_DISPATCHER=1"}, harness.Xdpmux(), "load", v.Name, object, "-n", "keeps_all", "-m", mode.String())
			if exit != 0 {
				t.Fatal(stderr)
			}
			return 1
		},
	} {
		for _, mode := range []harness.Mode{harness.Native, harness.SKB} {
			t.Run(fmt.Sprintf("%s in %v mode", name, mode), func(t *testing.T) {
				v := harness.NewVeth(t)
				weight := load(t, v, mode)
				was := status(t, v.Name).Legacy
				if was == nil {
					t.Fatal("no lone program")
				}
				maps := harness.MapIDs(t, was.ID)
				v.Deliver(t, padded(frame(plain)), padded(frame(plain)))

				before := harness.Snapshot(t)
				preview := harness.MustRun(t, harness.Xdpmux(), "load", "--adopt", object, v.Name, absolute(t, "verdicts")+"@name=v_pass,prio=10", "-m", mode.String(), "--dry-run")
				if !strings.Contains(preview, "keeps_all") || strings.Index(preview, "v_pass") > strings.Index(preview, "keeps_all") {
					t.Errorf("--dry-run:\n%s", preview)
				}
				before.Check(t)

				adopt := []string{"--adopt", object + "@prio=30"}
				place := uint32(30)
				if name == "xdpmux" {
					adopt, place = []string{"--adopt"}, 50 // it knows the file
				}
				args := append(append([]string{"load", "-v", "--json"}, adopt...), v.Name, absolute(t, "verdicts")+"@name=v_pass,prio=10", "-m", mode.String())
				stdout, stderr, exit := harness.Run(t, harness.Xdpmux(), args...)
				if exit != 0 {
					t.Fatalf("exit status %d\n%s", exit, stderr)
				}
				chain := status(t, v.Name)
				if got := strings.Join(names(chain), " "); got != "v_pass keeps_all" || chain.Programs[1].Priority != place || chain.Mode.String() != mode.String() {
					t.Fatalf("%s: %+v", got, chain)
				}
				now := chain.Programs[1]
				if got := harness.MapIDs(t, now.ID); !reflect.DeepEqual(got, maps) || now.Tag != was.Tag {
					t.Errorf("maps %v, before %v; %v, before %v", got, maps, now, was)
				}
				var said []struct {
					Adopted struct {
						ID, Was  uint32
						KeptMaps []string `json:"kept_maps"`
					}
				}
				must(t, json.Unmarshal([]byte(stdout), &said))
				if a := said[0].Adopted; a.ID != now.ID || a.Was != was.ID || len(a.KeptMaps) != 6 {
					t.Errorf("--json: %+v", a)
				}
				if !strings.Contains(stderr, fmt.Sprintf("adopted keeps_all on %s: id %d, before %d, priority %d", v.Name, now.ID, was.ID, place)) {
					t.Errorf("-v: %s", stderr)
				}
				v.Deliver(t, padded(frame(plain)))
				if packets, bytes := firstNumber(t, maps[0]), firstNumber(t, maps[1]); packets != 3 || bytes != 3*60 {
					t.Errorf("%d packets of %d bytes, want 3 of %d", packets, bytes, 3*60)
				}
				if n := firstNumber(t, mapCalled(t, maps, ".bss")); n != 3*weight {
					t.Errorf("total %d, want %d", n, 3*weight)
				}
				checkPins(t, v)
				bothShow(t, v.Name)
				harness.MustRun(t, native, "load", v.Name, absolute(t, "verdicts"), "-n", "v_tx", "-m", mode.String())
				if got := strings.Join(names(status(t, v.Name)), " "); !strings.Contains(got, "v_tx") {
					t.Errorf("a native tool has joined: %s", got)
				}
				harness.MustRun(t, native, "unload", v.Name, "-a")
				harness.MustRun(t, harness.Xdpmux(), "clean") // what native tools don't know
				checkPins(t, v)
			})
		}
	}
}

// TestAdoptUnderFlood takes a lone guard into a chain, again and again: no packet gets past it,
// and it counts each.
func TestAdoptUnderFlood(t *testing.T) {
	harness.NoLeak(t)
	harness.FillShortcut(t)
	v := harness.NewVeth(t)
	guard := harness.Lone(t, harness.Fixture("flood"), "guard", nil)
	v.Attach(t, guard.FD(), harness.Native)
	id := status(t, v.Name).Legacy.ID
	front, behind := fixture("flood", "front"), fixture("flood", "behind")
	front.Priority, behind.Priority = prio(10), prio(90)
	source := func(xdp.Loaded) (xdp.Program, error) { return fixture("flood", ""), nil }
	before := received(t, v)
	stop := flood(t, v)
	turns := harness.Scaled(100, 4)
	var seen, past uint64
	for i := range turns {
		done := commit(t, v.Name, dispatcher.Transaction{Mode: xdp.ModeUnspecified, Add: []xdp.Program{front, behind}, Adopt: source})
		if done.Adopted == nil || done.Adopted.Old != id || len(done.Adopted.KeptMaps) != 1 {
			t.Fatalf("turn %d: %+v", i, done.Adopted)
		}
		if !harness.Eventually(func() bool { return harness.Counters(t, done.Added[0].ID)[0] > 0 }) {
			t.Fatalf("turn %d: no packet comes to the chain", i)
		}
		// The lone one is put back in one step, too.
		main, err := libbpf.ProgByID(done.Chain.Dispatcher.ID)
		must(t, err)
		must(t, libbpf.XDPAttach(v.Index, guard.FD(), libbpf.XDPNative|libbpf.XDPReplace, main.Int()))
		main.Close()
		f, b := harness.Counters(t, done.Added[0].ID), harness.Counters(t, done.Added[1].ID)
		seen, past = seen+f[0]+f[1], past+b[1]
		_, err = dispatcher.Clean(t.Context(), dispatcher.CleanOptions{Interface: v.Name})
		must(t, err)
	}
	packets := stop() - before
	marked := harness.Counters(t, id)[1]
	t.Logf("%d packets, %d turns, %d of them in chains, %d marked", packets, turns, seen, marked)
	if past != 0 {
		t.Errorf("%d marked packets got past the guard", past)
	}
	// Marked and plain frames come in turn, and the last, which ended the flood, was a marked one.
	if half := packets / 2; marked < half || marked > half+1 {
		t.Errorf("the guard counted %d of %d packets", marked, packets)
	}
	if seen < uint64(turns) {
		t.Errorf("only %d packets in chains: that proves nothing", seen)
	}
	v.Attach(t, -1, harness.Native)
	checkPins(t, v)
}

// TestAdoptOnSeveral takes the lone programs of several interfaces into chains, which share
// what is new. Where one of them can't, all stay.
func TestAdoptOnSeveral(t *testing.T) {
	harness.NoLeak(t)
	a, b, c := harness.NewVeth(t), harness.NewVeth(t), harness.NewVeth(t)
	one, two := harness.Lone(t, harness.Fixture("adopt"), "keeps_all", nil), harness.Lone(t, harness.Fixture("adopt"), "keeps_fewer", nil)
	a.Attach(t, one.FD(), harness.Native)
	b.Attach(t, one.FD(), harness.Native)
	c.Attach(t, two.FD(), harness.Native)
	object := absolute(t, "adopt")
	before := harness.Snapshot(t)
	_, stderr, exit := harness.Run(t, harness.Xdpmux(), "load", "--adopt", object+"@name=keeps_all", a.Name+","+b.Name+","+c.Name, absolute(t, "verdicts"), "-n", "v_pass")
	if exit != 1 || !strings.Contains(stderr, "isn't what program") {
		t.Errorf("exit status %d\n%s", exit, stderr)
	}
	before.Check(t)
	harness.MustRun(t, harness.Xdpmux(), "load", "--adopt", object, a.Name+","+b.Name+","+c.Name, absolute(t, "verdicts"), "-n", "v_pass")
	var shared []uint32
	for v, want := range map[*harness.Veth]string{a: "keeps_all v_pass", b: "keeps_all v_pass", c: "keeps_fewer v_pass"} {
		chain := status(t, v.Name)
		if got := strings.Join(names(chain), " "); got != want {
			t.Errorf("%s: %s, want %s", v.Name, got, want)
		}
		shared = append(shared, find(t, chain, "v_pass"))
	}
	if shared[0] != shared[1] || shared[1] != shared[2] {
		t.Errorf("v_pass has the ids %v", shared)
	}
	a.Deliver(t, padded(frame(plain)))
	b.Deliver(t, padded(frame(plain)))
	if n := firstNumber(t, harness.MapIDs(t, find(t, status(t, a.Name), "keeps_all"))[0]); n != 2 {
		t.Errorf("both count in one map: %d, want 2", n)
	}
	for _, v := range []*harness.Veth{a, b, c} {
		unload(t, v.Name)
	}
}

// TestAdoptMaps adopts programs with maps that hold programs, devices, processors and sockets.
// The kernel lets no component program use the program array of an XDP program: the
// error names the array.
func TestAdoptMaps(t *testing.T) {
	harness.NoLeak(t)
	for name, c := range map[string]struct{ object, refused string }{
		"calls_next":    {"adopt_calls", "the kernel lets only programs like that one use its prog_array next_one"},
		"to_devices":    {"adopt", ""},
		"to_processors": {"adopt", ""},
		"to_sockets":    {"adopt", ""},
	} {
		t.Run(name, func(t *testing.T) {
			v := harness.NewVeth(t)
			v.Attach(t, harness.Lone(t, harness.Fixture(c.object), name, nil).FD(), harness.Native)
			was := status(t, v.Name).Legacy
			maps := harness.MapIDs(t, was.ID)
			before := harness.Snapshot(t)
			_, stderr, exit := harness.Run(t, harness.Xdpmux(), "load", "--adopt", absolute(t, c.object), v.Name)
			if c.refused != "" {
				if exit != 1 || !strings.Contains(stderr, c.refused) {
					t.Errorf("exit status %d, want %q in\n%s", exit, c.refused, stderr)
				}
				before.Check(t)
				return
			}
			if exit != 0 {
				t.Fatalf("exit status %d\n%s", exit, stderr)
			}
			chain := status(t, v.Name)
			if len(chain.Programs) != 1 || !reflect.DeepEqual(harness.MapIDs(t, chain.Programs[0].ID), maps) {
				t.Errorf("%+v", chain)
			}
			unload(t, v.Name)
		})
	}
}

// TestAdoptRefused meets what can't be adopted, and leaves it.
func TestAdoptRefused(t *testing.T) {
	harness.NoLeak(t)
	object := absolute(t, "adopt")
	alone := func(name string) func(*testing.T, *harness.Veth) {
		return func(t *testing.T, v *harness.Veth) {
			v.Attach(t, harness.Lone(t, harness.Fixture("adopt"), name, nil).FD(), harness.Native)
		}
	}
	for name, c := range map[string]struct {
		there func(*testing.T, *harness.Veth)
		adopt []string
		args  []string
		says  string
	}{
		"nothing": {func(*testing.T, *harness.Veth) {}, []string{"--adopt", object}, nil, "has no program without a dispatcher that could be adopted"},
		"a chain": {func(t *testing.T, v *harness.Veth) {
			commit(t, v.Name, dispatcher.Transaction{Add: []xdp.Program{fixture("verdicts", "v_pass")}})
		}, []string{"--adopt", object}, nil, "has no program without a dispatcher that could be adopted"},
		"another file":      {alone("keeps_all"), []string{"--adopt", absolute(t, "flood")}, nil, "isn't what program"},
		"another program":   {alone("keeps_all"), []string{"--adopt", object + "@name=keeps_fewer"}, nil, `its program "keeps_fewer" has the tag`},
		"no such file":      {alone("keeps_all"), []string{"--adopt", "nosuch.o"}, nil, "can't open nosuch.o"},
		"no record":         {alone("keeps_all"), []string{"--adopt"}, nil, "nobody has recorded what program"},
		"another mode":      {alone("keeps_all"), []string{"--adopt", object}, []string{"-m", "skb"}, "is attached in native mode, so it can't be in a chain in skb mode"},
		"hw mode":           {alone("keeps_all"), []string{"--adopt", object}, []string{"-m", "hw"}, "to be adopted in hw mode"},
		"a bad new program": {alone("keeps_all"), []string{"--adopt", object}, []string{"-n", "nosuch"}, `has no program "nosuch"`},
		"a link": {func(t *testing.T, v *harness.Veth) {
			link, err := libbpf.LinkCreate(harness.Lone(t, harness.Fixture("adopt"), "keeps_all", nil).FD(), v.Index, libbpf.AttachXDP, 0, 0)
			must(t, err)
			t.Cleanup(func() { link.Close() })
		}, []string{"--adopt", object}, nil, "held by bpf_link"},
	} {
		t.Run(name, func(t *testing.T) {
			v := harness.NewVeth(t)
			c.there(t, v)
			before := harness.Snapshot(t)
			args := append(append(append([]string{"load"}, c.adopt...), v.Name, absolute(t, "verdicts")), c.args...)
			stdout, stderr, exit := harness.Run(t, harness.Xdpmux(), args...)
			if exit != 1 || stdout != "" || !strings.HasPrefix(stderr, "xdpmux: ") || !strings.Contains(stderr, c.says) {
				t.Errorf("exit status %d, want %q\n%s%s", exit, c.says, stdout, stderr)
			}
			before.Check(t)
			if chain := status(t, v.Name); chain.Dispatcher != nil {
				unload(t, v.Name)
			}
		})
	}
	// The change is called off right before the swap, and by a program that the verifier refuses.
	v := harness.NewVeth(t)
	alone("keeps_all")(t, v)
	before := harness.Snapshot(t)
	off := errors.New("called off")
	tx := dispatcher.Transaction{Adopt: func(xdp.Loaded) (xdp.Program, error) { return fixture("adopt", "keeps_all"), nil },
		BeforeSwap: func(coming []dispatcher.Coming) error {
			if len(coming) != 1 || coming[0].Old == 0 {
				t.Errorf("coming: %+v", coming)
			}
			return off
		}}
	if _, err := tx.Commit(t.Context(), v.Name); !errors.Is(err, off) {
		t.Errorf("called off: %v", err)
	}
	before.Check(t)
	tx = dispatcher.Transaction{Adopt: tx.Adopt, Add: []xdp.Program{fixture("verdicts", "v_pass"), {File: harness.Fixture("pinned"), Section: "xdp/refused"}}}
	if _, err := tx.Commit(t.Context(), v.Name); !errors.Is(err, xdp.ErrVerifier) {
		t.Errorf("refused: %v", err)
	}
	before.Check(t)
}

// TestAdoptPinned has the lone program's pinned map go on with it, and refuses a pin that is
// another map's by now.
func TestAdoptPinned(t *testing.T) {
	harness.NoLeak(t)
	object := absolute(t, "adopt")
	for _, taken := range []bool{false, true} {
		v := harness.NewVeth(t)
		dir := "/sys/fs/bpf/" + v.Name
		pin := dir + "/pinned_one"
		_, stderr, exit := harness.RunEnv(t, []string{"LIBXDP_SKIP_DISPATCHER=1"}, harness.Xdpmux(), "load", v.Name, object, "-n", "keeps_all", "-p", dir)
		if exit != 0 {
			t.Fatal(stderr)
		}
		if taken {
			harness.MustRun(t, "rm", pin)
			m, err := libbpf.CreateMap(libbpf.MapTypeHash, "pinned_one", 4, 8, 8, 0)
			must(t, err)
			must(t, libbpf.ObjPin(m.Int(), pin))
			m.Close()
		}
		before := harness.Snapshot(t)
		_, stderr, exit = harness.Run(t, harness.Xdpmux(), "load", v.Name, "--adopt")
		if taken {
			if exit != 1 || !strings.Contains(stderr, "map pinned_one of "+object+" can't be kept: another map is pinned at "+pin) {
				t.Errorf("exit status %d\n%s", exit, stderr)
			}
			before.Check(t)
			v.Attach(t, -1, harness.Native)
		} else if exit != 0 || len(names(status(t, v.Name))) != 1 {
			t.Errorf("exit status %d\n%s", exit, stderr)
		} else {
			unload(t, v.Name)
		}
		harness.MustRun(t, "rm", "-r", dir)
	}
}
