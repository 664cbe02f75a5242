"""Makes the asynchronous client look like the synchronous one, so that each test proves both."""

import asyncio
import inspect
import threading


class Loop:
    """An event loop on a thread of its own."""

    def __init__(self):
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def wait(self, awaitable):
        async def settle():
            return await awaitable

        return asyncio.run_coroutine_threadsafe(settle(), self._loop).result()

    def close(self):
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Blocking:
    """An object of the asynchronous client; its coroutines block, its iterators iterate."""

    def __init__(self, loop, target):
        self._loop = loop
        self._target = target

    def __getattr__(self, name):
        return self._wrap(getattr(self._target, name))

    def __iter__(self):
        iterator = self._target.__aiter__()

        def pieces():
            try:
                while (piece := self._loop.wait(anext(iterator, None))) is not None:
                    yield piece
            finally:
                # An abandoned stream must end on its own loop.
                self._loop.wait(iterator.aclose())

        return pieces()

    def __enter__(self):
        return self._wrap(self._loop.wait(self._target.__aenter__()))

    def __exit__(self, *raised):
        return self._loop.wait(self._target.__aexit__(*raised))

    def _wrap(self, value):
        if inspect.ismethod(value):
            return lambda *args, **kwargs: self._settle(value, args, kwargs)
        if type(value).__name__.startswith("Async"):
            return Blocking(self._loop, value)
        return value

    def _settle(self, method, args, kwargs):
        async def call():
            result = method(*args, **kwargs)
            return await result if inspect.isawaitable(result) else result

        return self._wrap(self._loop.wait(call()))
