"""ONNX models that write themselves: arithmetic on Node adds nodes to its Graph."""

from types import SimpleNamespace

import numpy as np
from onnx import TensorProto, helper, numpy_helper

OPSET, MICROSOFT = 21, 1
TYPES = {np.dtype(np.float32): TensorProto.FLOAT, np.dtype(np.float64): TensorProto.DOUBLE, np.dtype(np.int32): TensorProto.INT32,
         np.dtype(np.int64): TensorProto.INT64, np.dtype(bool): TensorProto.BOOL}


class Graph:
    """Nodes, inputs, initializers and outputs of a model or of the body of its loop."""

    count = 0

    def __init__(self):
        self.nodes, self.inputs, self.initializers, self.results = [], [], [], []

    def name(self):
        Graph.count += 1
        return f"v{Graph.count}"

    def input(self, name, value, shape=None):
        value = np.asarray(value)
        self.inputs.append(helper.make_tensor_value_info(name, TYPES[value.dtype], list(value.shape) if shape is None else shape))
        return Node(self, name, value.dtype)

    def constant(self, value):
        value = np.asarray(value)
        name = self.name()
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(value).reshape(value.shape), name))
        return Node(self, name, value.dtype)

    def op(self, kind, *operands, outputs=1, dtype=None, domain="", **attributes):
        """A node's result, or the list of several."""
        names = [self.name() for _ in range(outputs)]
        self.nodes.append(helper.make_node(kind, [operand.name for operand in operands], names, domain=domain, **attributes))
        made = [Node(self, name, dtype or operands[0].dtype) for name in names]
        return made if outputs > 1 else made[0]

    def unsqueeze(self, x, axes):
        return self.op("Unsqueeze", x, self.constant(np.array(axes, np.int64)))

    def loop(self, turn, start, most=None):
        """`turn(xp, *values)` gives (go on, next values); it may use values from outside. The last values."""
        body = Graph()
        body.inputs = [helper.make_tensor_value_info(name, kind, []) for name, kind in
                       ((self.name(), TensorProto.INT64), (self.name(), TensorProto.BOOL))]
        carried = []
        for value in start:
            name = self.name()
            body.inputs.append(helper.make_tensor_value_info(name, TYPES[np.dtype(value.dtype)], None))
            carried.append(Node(body, name, value.dtype))
        outer, Graph.current = Graph.current, body
        go, values = turn(namespace(body), *carried, None)
        Graph.current = outer
        body.outputs([go, *values])
        count = self.constant(np.array(most if most is not None else 1 << 40, np.int64))
        last = self.op("Loop", count, self.constant(np.array(True)), *start, outputs=len(start), dtype=start[0].dtype, body=body.proto())
        last = last if len(start) > 1 else [last]
        for value, of_start in zip(last, start):
            value.dtype = of_start.dtype
        return last

    # The graph that arithmetic adds to: values from outside may be used in a loop's body.
    current = None

    def outputs(self, results):
        """Marks the results; their names."""
        results = list(results) if isinstance(results, (list, tuple)) else [results]
        names = []
        for result in results:
            # An identity, so that an input may be a result.
            node = self.op("Identity", result)
            names.append(node.name)
            self.results.append(helper.make_tensor_value_info(node.name, TYPES[np.dtype(result.dtype)], None))
        return names

    def proto(self):
        return helper.make_graph(self.nodes, "row", self.inputs, self.results, self.initializers)

    def model(self):
        """The model's bytes."""
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("com.microsoft", MICROSOFT)]
        return helper.make_model(self.proto(), opset_imports=opsets, ir_version=10).SerializeToString()


class Node:
    """A value of a graph with the operators of an array."""

    def __init__(self, graph, name, dtype):
        self.home, self.name, self.dtype = graph, name, np.dtype(dtype)

    @property
    def graph(self):
        return Graph.current or self.home

    def wrap(self, other):
        return other if isinstance(other, Node) else self.graph.constant(np.array(other, self.dtype))

    def binary(self, kind, a, b, dtype=None):
        a, b = self.wrap(a), self.wrap(b)
        return self.graph.op(kind, a, b, dtype=dtype)

    def __add__(self, other):
        return self.binary("Add", self, other)

    def __radd__(self, other):
        return self.binary("Add", other, self)

    def __sub__(self, other):
        return self.binary("Sub", self, other)

    def __rsub__(self, other):
        return self.binary("Sub", other, self)

    def __mul__(self, other):
        return self.binary("Mul", self, other)

    def __rmul__(self, other):
        return self.binary("Mul", other, self)

    def __truediv__(self, other):
        return self.binary("Div", self, other)

    def __rtruediv__(self, other):
        return self.binary("Div", other, self)

    def __matmul__(self, other):
        return self.binary("MatMul", self, other)

    def __neg__(self):
        return self.graph.op("Neg", self)

    def __le__(self, other):
        return self.binary("LessOrEqual", self, other, dtype=bool)

    def __getitem__(self, places):
        """Slices, whole numbers, None and an ellipsis."""
        places = places if isinstance(places, tuple) else (places,)
        result, axis, taken, added = self, 0, [], []
        slices = []
        from_end = Ellipsis in places
        for i, place in enumerate(places):
            if place is Ellipsis:
                axis = i + 1 - len(places)
            elif place is None:
                added.append(i)
            else:
                slices.append((axis, place))
                axis += 1
        whole = [(axis, place) for axis, place in slices if place != slice(None)]
        if whole:
            result = result.sliced(whole)
            taken = [axis for axis, place in whole if isinstance(place, int)]
        if taken:
            result = result.graph.op("Squeeze", result, result.graph.constant(np.array(taken, np.int64)))
        if added:
            assert not from_end
            # A place of None stands where it is in the result: whole numbers before it are gone.
            added = [i - sum(isinstance(place, int) for place in places[:i]) for i in added]
            result = result.graph.unsqueeze(result, added)
        return result

    def sliced(self, places):
        begins, ends, steps = [], [], []
        for _, place in places:
            if isinstance(place, int):
                place = slice(place, place + 1)
            begins.append(place.start or 0)
            ends.append(np.iinfo(np.int64).max if place.stop is None else place.stop)
            steps.append(place.step or 1)
        lists = ([*begins], [*ends], [axis for axis, _ in places], [*steps])
        return self.graph.op("Slice", self, *(self.graph.constant(np.array(values, np.int64)) for values in lists))


def namespace(graph):
    """ONNX's ops under the names that Definitions wants."""
    unary = lambda kind: lambda x: x.graph.op(kind, x)
    integers = lambda x, values: x.graph.constant(np.array(values, np.int64))

    def reduce(kind):
        def reduced(x, axis=None, keepdims=False):
            axes = [] if axis is None else [integers(x, [axis])]
            return x.graph.op(kind, x, *axes, keepdims=int(keepdims))
        return reduced

    def variance(x, axis):
        mean = reduce("ReduceMean")
        centred = x - mean(x, axis, True)
        return mean(centred * centred, axis)

    def index(kind):
        def found(x, axis):
            if axis is None:
                x, axis = x.graph.op("Reshape", x, integers(x, [-1])), 0
            return x.graph.op(kind, x, axis=axis, keepdims=0, dtype=np.int64)
        return found

    def roll(x, shifts, axes):
        for shift, axis in zip(shifts, axes):
            if shift:
                behind = slice(-shift, None), slice(None, -shift)
                parts = [x.sliced([(axis, place)]) for place in behind]
                x = x.graph.op("Concat", *parts, axis=axis)
        return x

    def stack(values, axis):
        graph = values[0].graph
        return graph.op("Concat", *(graph.unsqueeze(value, [axis]) for value in values), axis=axis)

    def where(condition, a, b):
        numbers = a if isinstance(a, Node) else b
        return condition.graph.op("Where", condition, numbers.wrap(a), numbers.wrap(b), dtype=numbers.dtype)

    def set_inner(u, new):
        """The new inside within the old border."""
        graph = u.graph
        middle = graph.op("Concat", u[1:-1, :1], new, u[1:-1, -1:], axis=1)
        return graph.op("Concat", u[:1], middle, u[-1:], axis=0)

    return SimpleNamespace(
        graph=graph, abs=unary("Abs"), sqrt=unary("Sqrt"), exp=unary("Exp"), log=unary("Log"), log1p=lambda x: x.graph.op("Log", x + 1),
        tanh=unary("Tanh"), erf=unary("Erf"), sigmoid=unary("Sigmoid"), relu=unary("Relu"), maximum=lambda a, b: a.binary("Max", a, b),
        minimum=lambda a, b: a.binary("Min", a, b), softmax=lambda x: x.graph.op("Softmax", x, axis=-1),
        sum=reduce("ReduceSum"), mean=reduce("ReduceMean"), max=reduce("ReduceMax"), var=variance, argmax=index("ArgMax"),
        argmin=index("ArgMin"), transpose=lambda x, axes: x.graph.op("Transpose", x, perm=list(axes)), contiguous=lambda x: x, roll=roll,
        pad=lambda x, n: x.graph.op("Pad", x, integers(x, [n] * 4)), stack=stack, where=where, set_inner=set_inner,
        concatenate=lambda values, axis: values[0].graph.op("Concat", *values, axis=axis),
        greater=lambda a, b: a.binary("Greater", a, b, dtype=bool), to_int=lambda x: x.graph.op("Cast", x, to=TensorProto.INT32,
                                                                                               dtype=np.int32))
