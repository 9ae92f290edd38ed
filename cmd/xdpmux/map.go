package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/dispatcher"
)

func mapCommand(out *output) *cli.Command {
	return &cli.Command{
		Name:            "map",
		Usage:           "show the maps of an interface's programs, and what is in them",
		HideHelpCommand: true,
		Action: func(*cli.Context) error {
			return usageError("map needs a command", "xdpmux map list <ifname>, or xdpmux map dump <ifname> <map>")
		},
		Subcommands: []*cli.Command{
			{
				Name:      "list",
				HelpName:  "xdpmux map list",
				Usage:     "list the maps, with the programs that use them",
				ArgsUsage: "<ifname>",
				Flags:     []cli.Flag{&cli.BoolFlag{Name: "json", Usage: jsonUsage("the maps")}},
				Action:    func(c *cli.Context) error { return mapList(c, out) },
			},
			{
				Name:      "dump",
				HelpName:  "xdpmux map dump",
				Usage:     "print the entries of a map",
				ArgsUsage: "<ifname> (<map> | --id ID)",
				Flags: []cli.Flag{
					&cli.StringFlag{Name: "id", Aliases: []string{"i"}, Usage: "dump the map with this `ID`; map list shows it"},
					&cli.BoolFlag{Name: "watch", Usage: "print the entries again each second, and how numbers change"},
					&cli.BoolFlag{Name: "json", Usage: jsonUsage("the entries") + ", with --watch one object a line"},
				},
				Action: func(c *cli.Context) error { return mapDump(c, out) },
			},
		},
	}
}

func mapList(c *cli.Context, out *output) error {
	if c.NArg() != 1 {
		return usageError("map list needs one interface", "xdpmux map list <ifname>")
	}
	maps, err := dispatcher.ChainMaps(c.Context, c.Args().First())
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return out.printJSON(maps)
	}
	table := newTable(out.stdout)
	fmt.Fprintln(table, "ID\tName\tType\tKey\tValue\tMax entries\tBTF\tUsed by")
	for _, m := range maps {
		var users []string
		for _, p := range m.Programs {
			users = append(users, fmt.Sprintf("%s (%d)", shown(p.Name), p.ID))
		}
		fmt.Fprintf(table, "%d\t%s\t%s\t%d\t%d\t%d\t%s\t%s\n", m.ID, shown(m.Name), m.Type, m.KeySize, m.ValueSize, m.MaxEntries, yesNo(m.BTF), strings.Join(users, ", "))
	}
	return table.Flush()
}

func mapDump(c *cli.Context, out *output) error {
	const usage = "xdpmux map dump <ifname> (<map> | --id ID)"
	switch {
	case c.NArg() == 0 || c.NArg() > 2:
		return usageError("map dump needs an interface and a map", usage)
	case c.IsSet("id") == (c.NArg() == 2):
		return usageError("map dump needs either a map's name or its id", usage)
	}
	ifname := c.Args().First()
	maps, err := dispatcher.ChainMaps(c.Context, ifname)
	if err != nil {
		return err
	}
	name, id := c.Args().Get(1), uint64(0)
	if c.IsSet("id") {
		if id, err = strconv.ParseUint(c.String("id"), 0, 32); err != nil {
			return usageError(fmt.Sprintf("%q is not a map's id", c.String("id")), "xdpmux map list "+ifname+" shows the ids")
		}
	}
	chosen, err := dispatcher.ChooseMap(maps, ifname, name, uint32(id))
	if err != nil {
		return err
	}
	m, err := dispatcher.OpenMapID(chosen.ID)
	if err != nil {
		return err
	}
	defer m.Close()
	if !m.BTF {
		out.warn("map %s has no type information (BTF): bytes are shown in hexadecimal", m.Name)
	}
	d := newDump(out.stdout, m, c.Bool("json"), c.Bool("watch"))
	if c.Bool("watch") {
		return d.watch(c.Context)
	}
	return d.print(c.Context)
}
