package loaded

import (
	"errors"
	"syscall"
	"time"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// ShortName is a map's name as the kernel keeps it.
func ShortName(name string) string { return name[:min(len(name), MaxName)] }

// Program is a program as the kernel shows it.
type Program struct {
	xdp.Loaded
	ProgType libbpf.ProgType
	LoadTime time.Duration // since boot
}

func ByID(id uint32) (Program, error) {
	fd, err := OpenProg(id)
	if err != nil {
		return Program{}, err
	}
	defer fd.Close()
	return ByFD(fd.Int())
}

// ByFD reads a program's identity. The kernel cuts names to 15 characters;
// the whole name is in the program's BTF.
func ByFD(fd int) (Program, error) {
	info, err := libbpf.ProgInfoByFD(fd)
	if err != nil {
		return Program{}, err
	}
	p := Program{Loaded: xdp.Loaded{ID: info.ID, Name: info.Name, Tag: info.Tag.String()}, ProgType: info.Type, LoadTime: info.LoadTime}
	if len(info.Name) < MaxName || info.BTFID == 0 {
		return p, nil
	}
	function, err := libbpf.ProgFuncType(fd)
	if err != nil {
		return p, nil // the cut name will do
	}
	btf, err := OpenBTF(info.BTFID)
	if err != nil {
		return p, nil
	}
	defer btf.Close()
	if name := btf.TypeName(function); name != "" {
		p.Name = name
	}
	return p, nil
}

// MaxName is how much of a name the kernel keeps (BPF_OBJ_NAME_LEN less the
// NUL).
const MaxName = 15

// UnlessGone is err, unless err says that what was asked for is gone.
func UnlessGone(err error) error {
	if errors.Is(err, syscall.ENOENT) {
		return nil
	}
	return err
}
