package value_test

import (
	"fmt"
	"log"

	"github.com/xdpmux/xdpmux/dispatcher/value"
)

// What are the bytes of a key that somebody has typed?
func ExampleParse() {
	key, err := value.Parse("192.0.2.7", 4)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(key)
	// Output: [192 0 2 7]
}

// What do these bytes say, if nobody knows their type?
func ExampleLayout_Decode() {
	fmt.Println(value.Uint(2).Decode([]byte{0x2a, 0x2a}))
	fmt.Println(value.Bytes(2).Decode([]byte{0x2a, 0x2a}))
	// Output:
	// 10794
	// 2a 2a
}
