package scan

// An item of an [itemHeap] knows where it stands in it.
type item[T any] interface {
	before(other T) bool
	position() *int // -1 outside the heap
}

// An itemHeap is a [container/heap.Interface] with the first item on top.
type itemHeap[T item[T]] []T

func (h itemHeap[T]) Len() int           { return len(h) }
func (h itemHeap[T]) Less(i, j int) bool { return h[i].before(h[j]) }

func (h itemHeap[T]) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	*h[i].position(), *h[j].position() = i, j
}

// Push implements heap.Interface.
func (h *itemHeap[T]) Push(x any) {
	t := x.(T) //nolint:forcetypeassert // a T is all that this package pushes
	*t.position() = len(*h)
	*h = append(*h, t)
}

// Pop implements heap.Interface.
func (h *itemHeap[T]) Pop() any {
	last := len(*h) - 1
	t := (*h)[last]
	clear((*h)[last:])
	*h = (*h)[:last]
	*t.position() = -1
	return t
}
