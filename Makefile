# make        builds build/neuros
# make demo   installs what is missing, builds, and shows the main job (MODEL=file.gguf for another model)
# make test   installs what is missing, builds, and runs every test

MODEL ?=

.PHONY: all deps demo test clean

all: deps
	cmake --preset release >/dev/null
	cmake --build --preset release

deps:
	@tools/install-deps.sh

demo: deps
	cmake --preset release -DNEUROS_TESTS=OFF >/dev/null
	cmake --build --preset release --target neuros
	tools/demo.sh build/neuros $(MODEL)

test: deps
	cmake --preset release -DNEUROS_TESTS=ON >/dev/null
	cmake --build --preset release
	ctest --preset release

clean:
	rm -rf build build-*
