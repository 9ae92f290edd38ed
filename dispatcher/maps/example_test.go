package maps_test

import (
	"context"
	"fmt"
	"log"

	"github.com/xdpmux/xdpmux/dispatcher/maps"
)

// How many packets has the program that runs as number 42 counted? Its map rxcnt is a
// per-CPU array with a __u64 for each verdict.
func ExampleLookup() {
	m, err := maps.Open(42, "rxcnt")
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	const pass = uint32(2) // XDP_PASS
	perCPU, err := maps.Lookup[uint64](m, pass)
	if err != nil {
		log.Fatal(err)
	}
	sum := uint64(0)
	for _, n := range perCPU {
		sum += n
	}
	fmt.Println(sum)
}

// What is in the maps of the programs on eth0?
func ExampleOfChain() {
	ctx := context.Background()
	used, err := maps.OfChain(ctx, "eth0")
	if err != nil {
		log.Fatal(err)
	}
	for _, u := range used {
		m, err := maps.OpenID(u.ID)
		if err != nil {
			log.Fatal(err)
		}
		for entry, err := range m.Entries(ctx) {
			if err != nil {
				log.Fatal(err)
			}
			fmt.Println(u.Name, entry.Key, entry.Values)
		}
		m.Close()
	}
}

// Block an address in a filter that runs.
func ExampleMap_UpdateText() {
	m, err := maps.Open(42, "blocked")
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	if err := m.UpdateText("192.0.2.7", "1"); err != nil {
		log.Fatal(err)
	}
}
