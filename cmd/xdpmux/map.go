package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/cmd/internal/cmdline"
	"github.com/xdpmux/xdpmux/cmd/internal/help"
	"github.com/xdpmux/xdpmux/cmd/internal/output"
	"github.com/xdpmux/xdpmux/dispatcher/maps"
)

func mapCommand(out *output.Printer) *cli.Command {
	return &cli.Command{
		Name:            "map",
		Usage:           "show and change the maps of an interface's programs",
		HideHelpCommand: true,
		Action: func(*cli.Context) error {
			return cmdline.UsageError("map needs a command", "xdpmux map (list | dump | update | delete) ..., each has --help")
		},
		Subcommands: []*cli.Command{
			{
				Name:      "list",
				HelpName:  "xdpmux map list",
				Usage:     "list the maps, with the programs that use them",
				ArgsUsage: "<ifname>",
				Flags:     []cli.Flag{&cli.BoolFlag{Name: "json", Usage: cmdline.JSONUsage("the maps")}},
				Action:    func(c *cli.Context) error { return mapList(c, out) },
			},
			{
				Name:      "dump",
				HelpName:  "xdpmux map dump",
				Usage:     "print the entries of a map",
				ArgsUsage: mapUsage,
				Flags: append(mapFlags("dump"),
					keyFlag("only the entry"),
					&cli.UintFlag{Name: "limit", Usage: "end after `N` entries (default: all)"},
					&cli.BoolFlag{Name: "watch", Usage: "print the entries again and again, and how numbers change, until q or Ctrl-C"},
					cmdline.IntervalFlag("with --watch: print them"), // -i is the id
					&cli.BoolFlag{Name: "json", Usage: cmdline.JSONUsage("the entries") + ", with --watch one object a line"},
				),
				Action: func(c *cli.Context) error { return mapDump(c, out) },
			},
			{
				Name:      "update",
				HelpName:  "xdpmux map update",
				Usage:     "set an entry of a map, in a per-CPU map that of every CPU",
				ArgsUsage: mapUsage,
				Flags: append(mapFlags("change"),
					keyFlag("set the entry"),
					&cli.StringFlag{Name: "value", Usage: "set it to `VALUE`, said as a key is; in a device map an interface's name, in a map of maps an id"},
				),
				Action: mapUpdate,
			},
			{
				Name:      "delete",
				HelpName:  "xdpmux map delete",
				Usage:     "remove an entry from a map",
				ArgsUsage: mapUsage,
				Flags:     append(mapFlags("change"), keyFlag("remove the entry")),
				Action:    mapDelete,
			},
		},
	}
}

func mapList(c *cli.Context, out *output.Printer) error {
	if c.NArg() != 1 {
		return cmdline.UsageError("map list needs one interface", "xdpmux map list <ifname>")
	}
	used, err := maps.OfChain(c.Context, c.Args().First())
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return out.PrintJSON(used)
	}
	table := newTable(out.Stdout)
	fmt.Fprintln(table, "ID\tName\tType\tKey\tValue\tMax entries\tBTF\tUsed by")
	for _, m := range used {
		var users []string
		for _, p := range m.Programs {
			users = append(users, fmt.Sprintf("%s (%d)", output.Shown(p.Name), p.ID))
		}
		fmt.Fprintf(table, "%d\t%s\t%s\t%d\t%d\t%d\t%s\t%s\n", m.ID, output.Shown(m.Name), m.Type, m.KeySize, m.ValueSize, m.MaxEntries, yesNo(m.BTF), strings.Join(users, ", "))
	}
	return table.Flush()
}

// mapUsage are the arguments of the commands on one map.
const mapUsage = "<ifname> (<map> | --id ID | --name NAME)"

// mapFlags are the options that say which map is meant. An argument can say it too.
func mapFlags(verb string) []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "id", Aliases: []string{"i"}, Usage: verb + " the map with this `ID`; map list shows it"},
		&cli.StringFlag{Name: "name", Usage: verb + " the map of this `NAME`, if there is only one"},
	}
}

// keyFlag is the option for a key. It takes what state files take, in one word.
func keyFlag(use string) cli.Flag {
	return &cli.StringFlag{Name: "key", Usage: use + " of this `KEY`: a number, an address, a prefix, a MAC address, or bytes such as \"0a 00 ff\""}
}

// openMap opens the map that a command names.
func openMap(c *cli.Context) (*maps.Map, error) {
	command := help.FullName(c.Command)
	usage := "xdpmux " + command + " " + mapUsage
	names := c.Args().Tail()
	if c.IsSet("name") {
		names = append(names, c.String("name"))
	}
	switch {
	case c.NArg() == 0 || c.NArg() > 2:
		return nil, cmdline.UsageError(command+" needs an interface and a map", usage)
	case c.IsSet("id") == (len(names) == 1), len(names) > 1:
		return nil, cmdline.UsageError(command+" needs either a map's name or its id", usage)
	}
	ifname := c.Args().First()
	used, err := maps.OfChain(c.Context, ifname)
	if err != nil {
		return nil, err
	}
	name, id := strings.Join(names, ""), uint64(0)
	if c.IsSet("id") {
		if id, err = strconv.ParseUint(c.String("id"), 0, 32); err != nil {
			return nil, cmdline.UsageError(fmt.Sprintf("%q is not a map's id", c.String("id")), "xdpmux map list "+ifname+" shows the ids")
		}
	}
	chosen, err := chooseMap(used, ifname, name, uint32(id))
	if err != nil {
		return nil, err
	}
	m, err := maps.OpenID(chosen.ID)
	if err == nil {
		m.Name = chosen.Name
	}
	return m, err
}

func mapDump(c *cli.Context, out *output.Printer) error {
	limit := c.Uint("limit")
	switch {
	case c.IsSet("limit") && limit == 0:
		return cmdline.UsageError("0 entries can't be printed", "without --limit all are")
	case c.IsSet("limit") && c.IsSet("key"):
		return cmdline.UsageError("--key and --limit exclude each other", "--key prints one entry")
	}
	every, err := watchInterval(c)
	if err != nil {
		return err
	}
	m, err := openMap(c)
	if err != nil {
		return err
	}
	defer m.Close()
	if err := m.Readable(); err != nil {
		return err
	}
	if !m.Typed() {
		out.Warn("map %s has no type information (BTF): bytes are shown in hexadecimal", m.Name)
	}
	d := newDump(out.Stdout, m, c.Bool("json"), c.Bool("watch"))
	d.limit = limit
	if c.IsSet("key") {
		key := c.String("key")
		d.key = &key
	}
	if every > 0 {
		return d.watch(c.Context, every)
	}
	return d.print(c.Context)
}

func mapUpdate(c *cli.Context) error {
	if !c.IsSet("key") || !c.IsSet("value") {
		return cmdline.UsageError("map update needs a key and a value", "xdpmux map update "+mapUsage+" --key KEY --value VALUE")
	}
	m, err := openMap(c)
	if err != nil {
		return err
	}
	defer m.Close()
	return m.UpdateText(c.String("key"), c.String("value"))
}

func mapDelete(c *cli.Context) error {
	if !c.IsSet("key") {
		return cmdline.UsageError("map delete needs a key", "xdpmux map delete "+mapUsage+" --key KEY")
	}
	m, err := openMap(c)
	if err != nil {
		return err
	}
	defer m.Close()
	return m.DeleteText(c.String("key"))
}
