package reduce_test

import (
	"fmt"

	"vgid/collective/reduce"
)

// Integers wrap, and an average divides what wrapped.
func Example() {
	sum := []byte{200, 7}
	reduce.Combine(reduce.U8, reduce.Sum, sum, [][]byte{{100, 2}})
	fmt.Println(sum[0], sum[1])
	reduce.Divide(reduce.U8, sum, 2)
	fmt.Println(sum[0], sum[1])
	// Output:
	// 44 9
	// 22 4
}
