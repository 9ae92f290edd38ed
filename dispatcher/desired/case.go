package desired

import (
	"context"
	"encoding/hex"
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Case is what has to come of a packet in the chain that a state describes.
type Case struct {
	Name      string
	Interface string                        // empty: the only one that the state names
	Packet    CasePacket                    // what comes in
	Maps      map[string]map[string][]Entry // instead of what the state says, by the state's names of programs and by those of maps
	Verdict   xdp.Verdict
	DecidedBy string // the state's name of the program; empty: whichever
	Bytes     Bytes

	where string
}

// CasePacket says which packet it is: one of Words, Hex and Pcap does.
type CasePacket struct {
	Words  string // such as "ipv4 udp 192.0.2.1:53 > 192.0.2.2:4000"
	Hex    []byte // from the Ethernet header on
	Pcap   string // path of a capture
	Number int    // of the packet in it, from 1

	where string
}

// Bytes are what has to leave the chain: the packet as it came, or these; the zero value says
// nothing.
type Bytes struct {
	Same bool
	Hex  []byte
}

// Where is the place of the case in its file: "file:line:column".
func (c Case) Where() string { return c.where }

// Wrong puts the place of the packet before an error about it.
func (p CasePacket) Wrong(err error) error {
	if of := (*xdp.Error)(nil); errors.As(err, &of) {
		return locate(p.where, err)
	}
	return invalid(p.where, "%v", err)
}

// ReadCases reads files of cases, YAML or JSON, and is strict as [Read] is. Paths of captures
// become absolute. Of a directory it reads the files that Read would.
func ReadCases(ctx context.Context, paths ...string) (all []Case, err error) {
	err = ReadFiles(ctx, "cases", paths, func(file string, data []byte) error {
		some, err := ParseCases(ctx, file, filepath.Dir(file), data)
		all = append(all, some...)
		return err
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// ParseCases reads one file of cases from memory. Errors call the file by name. Relative paths
// of captures start at dir.
func ParseCases(ctx context.Context, name, dir string, data []byte) (cases []Case, err error) {
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	root, err := parseYAML(ctx, name, data)
	if err != nil {
		return nil, err
	}
	if root == nil {
		return nil, invalid(name, "there is no case in it")
	}
	f := &stateFile{&reader{ctx: ctx, file: name}, dir}
	names := map[string]string{} // and where they are
	err = f.object(root, keys{"cases": f.list(func(n *yaml.Node) error {
		c, err := f.readCase(n)
		if err != nil {
			return err
		}
		if first := names[c.Name]; first != "" {
			return f.wrong(n, "there are two cases %q, the first at %s", c.Name, first)
		}
		names[c.Name] = c.where
		cases = append(cases, c)
		return nil
	})}, "cases")
	if err == nil && len(cases) == 0 {
		err = f.wrong(root, "there is no case in it")
	}
	return cases, err
}

func (f *stateFile) readCase(n *yaml.Node) (c Case, err error) {
	c.where = f.where(n)
	return c, f.object(n, keys{
		"name":      f.text(&c.Name, nil),
		"interface": f.text(&c.Interface, nil),
		"packet":    func(n *yaml.Node) (err error) { c.Packet, err = f.readPacket(n); return err },
		"maps": func(n *yaml.Node) error {
			c.Maps = map[string]map[string][]Entry{}
			return f.each(n, func(key, n *yaml.Node) (err error) {
				c.Maps[key.Value], err = f.readMaps(n)
				return err
			})
		},
		"expect": func(n *yaml.Node) error {
			var verdict string
			return f.object(n, keys{
				"verdict": f.text(&verdict, func() (err error) { c.Verdict, err = xdp.ParseVerdict(verdict); return err }),
				"program": f.text(&c.DecidedBy, nil),
				"bytes": func(n *yaml.Node) (err error) {
					var word string
					if err := f.text(&word, nil)(n); err != nil || word == "same" {
						c.Bytes.Same = err == nil
						return err
					}
					c.Bytes.Hex, err = f.hex(n)
					return err
				},
			}, "verdict")
		},
	}, "name", "packet", "expect")
}

func (f *stateFile) readPacket(n *yaml.Node) (p CasePacket, err error) {
	p.where = f.where(n)
	is, err := f.follow(n)
	if err != nil {
		return p, err
	}
	if is.Kind == yaml.ScalarNode {
		return p, f.text(&p.Words, nil)(n)
	}
	err = f.object(n, keys{
		"hex":  func(n *yaml.Node) (err error) { p.Hex, err = f.hex(n); return err },
		"pcap": f.text(&p.Pcap, nil),
		"number": func(n *yaml.Node) error {
			number, err := f.integer(n)
			if err != nil {
				return err
			}
			if p.Number, err = strconv.Atoi(string(number)); err != nil || p.Number < 1 {
				return f.wrong(n, "%s is not the number of a packet, which is from 1", number)
			}
			return nil
		},
	})
	switch {
	case err != nil:
		return p, err
	case (p.Hex != nil) == (p.Pcap != ""):
		return p, f.wrong(n, "a packet is either hex or from a pcap")
	case (p.Number != 0) != (p.Pcap != ""):
		return p, f.wrong(n, "pcap and number go together")
	}
	if p.Pcap != "" && !filepath.IsAbs(p.Pcap) {
		p.Pcap = filepath.Join(f.dir, p.Pcap)
	}
	return p, nil
}

// hex reads bytes in hexadecimal, with spaces wherever they help.
func (f *stateFile) hex(n *yaml.Node) (data []byte, err error) {
	var text string
	return data, f.text(&text, func() (err error) {
		data, err = hex.DecodeString(strings.Join(strings.Fields(text), ""))
		return err
	})(n)
}

// CaseProgram is a program of the chain that a case is about.
type CaseProgram struct {
	Name    string // in the state
	Program xdp.Program
}

// Programs are those that the state wants on the case's interface, as they would be loaded
// there, with the maps of the case. The interface need not exist.
func (c Case) Programs(ctx context.Context, s *State) ([]CaseProgram, error) {
	ifname, err := c.ifname(s)
	if err != nil {
		return nil, err
	}
	targets, err := s.targets([]string{ifname})
	if err != nil {
		return nil, err
	}
	var entries []Program
	var names []string
	for _, t := range targets {
		if t.name == ifname {
			entries = t.programs
		}
	}
	for _, p := range entries {
		names = append(names, p.Name)
	}
	for _, name := range append(slices.Sorted(maps.Keys(c.Maps)), c.DecidedBy) {
		if name != "" && !slices.Contains(names, name) {
			err := invalid(c.where, "the state wants no program %q on %s", name, ifname)
			err.Remedy = "its programs there: " + strings.Join(names, ", ")
			return nil, err
		}
	}
	if len(entries) == 0 {
		return nil, invalid(c.where, "the state wants no program on %s", ifname)
	}
	o := newObjects()
	defer o.close()
	var all []CaseProgram
	for _, p := range entries {
		if own := c.Maps[p.Name]; own != nil {
			p.Maps, p.where = maps.Clone(p.Maps), c.where
			if p.Maps == nil {
				p.Maps = map[string][]Entry{}
			}
			maps.Copy(p.Maps, own)
		}
		w, err := o.resolve(ctx, p)
		if err != nil {
			return nil, err
		}
		all = append(all, CaseProgram{p.Name, w.load()})
	}
	return all, nil
}

// ifname is the interface that the case is about.
func (c Case) ifname(s *State) (string, error) {
	if c.Interface != "" {
		return c.Interface, nil
	}
	name := ""
	for _, i := range s.Interfaces {
		if i.pattern() || name != "" && name != i.literal() {
			err := invalid(c.where, "the state names several interfaces, or a pattern, and the case none")
			err.Remedy = "add the key interface"
			return "", err
		}
		name = i.literal()
	}
	if name == "" {
		return "", invalid(c.where, "the state names no interface")
	}
	return name, nil
}
