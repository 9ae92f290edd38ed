package loaded

import "github.com/xdpmux/xdpmux/cgo/libbpf"

// ProgInfo is what the kernel knows of the program with that id. ENOENT: there is none any
// more. MapInfo and linkInfo are the same for maps and links.
func ProgInfo(id uint32) (*libbpf.ProgInfo, error) {
	return infoByID(id, OpenProg, libbpf.ProgInfoByFD)
}

func MapInfo(id uint32) (*libbpf.MapInfo, error) {
	return infoByID(id, OpenMap, libbpf.MapInfoByFD)
}

func linkInfo(id uint32) (*libbpf.LinkInfo, error) {
	return infoByID(id, OpenLink, libbpf.LinkInfoByFD)
}

// ProgID is the id of a program that is open, MapID and LinkID those of a map and a link.
func ProgID(fd int) (uint32, error) {
	return idOf(fd, libbpf.ProgInfoByFD, func(i *libbpf.ProgInfo) uint32 { return i.ID })
}

func MapID(fd int) (uint32, error) {
	return idOf(fd, libbpf.MapInfoByFD, func(i *libbpf.MapInfo) uint32 { return i.ID })
}

func LinkID(fd int) (uint32, error) {
	return idOf(fd, libbpf.LinkInfoByFD, func(i *libbpf.LinkInfo) uint32 { return i.ID })
}

func idOf[Info any](fd int, info func(int) (*Info, error), id func(*Info) uint32) (uint32, error) {
	i, err := info(fd)
	if err != nil {
		return 0, err
	}
	return id(i), nil
}

func infoByID[Info any](id uint32, open func(uint32) (*libbpf.FD, error), info func(int) (*Info, error)) (*Info, error) {
	fd, err := open(id)
	if err != nil {
		return nil, err
	}
	defer fd.Close()
	return info(fd.Int())
}
