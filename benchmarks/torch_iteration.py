"""A training iteration in plain PyTorch with which benchmarks compare the speed of this package.

The networks have the shapes of a `TrainConfig`. The iteration computes what BigGAN-PyTorch's
iteration computes: it uses NCHW, one power iteration in each forward pass, and PyTorch's batch norm
and Adam. It makes D's generated images without gradients, and keeps a moving average of all
variables of G.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from tf_biggan.networks.architectures import (
    architecture_for,
    discriminator_blocks,
    generator_blocks,
)


def _default(value, published):
    return published if value is None else value


class Normalized(nn.Module):
    """A kernel [out, in, ...] that is divided by its estimated largest singular value."""

    def __init__(self, *shape, bias=True):
        super().__init__()
        self.weight = nn.Parameter(0.02 * torch.randn(*shape))
        self.bias = nn.Parameter(torch.zeros(shape[0])) if bias else None
        self.register_buffer("u", torch.randn(1, shape[0]))

    def kernel(self):
        matrix = self.weight.reshape(self.weight.shape[0], -1)
        with torch.no_grad():
            v = F.normalize(self.u @ matrix)
            u = F.normalize(v @ matrix.t())
            if self.training:
                self.u.copy_(u)
        return self.weight / (v @ matrix.t() @ u.t()).squeeze()

    def forward(self, x):
        weight = self.kernel()
        if weight.dim() == 2:
            return F.linear(x, weight, self.bias)
        return F.conv2d(x, weight, self.bias, padding=weight.shape[-1] // 2)


class NormalizedEmbedding(Normalized):
    """A spectrally normalised embedding."""

    def forward(self, labels):
        return F.embedding(labels, self.kernel())


class Norm(nn.Module):
    """A batch norm whose gain and offset depend on a condition vector or, without it, on a label.

    Args:
      channels: Number of channels.
      condition: Size of the condition vector; 0 for a table with a row for each class.
      classes: Number of classes.
    """

    def __init__(self, channels, condition, classes):
        super().__init__()
        if condition:
            self.gain = Normalized(channels, condition, bias=False)
            self.offset = Normalized(channels, condition, bias=False)
        else:
            self.gain = nn.Embedding(classes, channels)
            self.offset = nn.Embedding(classes, channels)
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("variance", torch.ones(channels))

    def forward(self, x, condition):
        gain, offset = 1 + self.gain(condition), self.offset(condition)
        x = F.batch_norm(x, self.mean, self.variance, None, None, self.training, 0.1, 1e-5)
        return x * gain[:, :, None, None] + offset[:, :, None, None]


def _kernels(spec, deep):
    """Returns (input channels, output channels, kernel size) of each convolution of a block."""
    entering, hidden, leaving = spec.in_channels, spec.hidden_channels, spec.out_channels
    if deep:
        return (
            (entering, hidden, 1),
            (hidden, hidden, 3),
            (hidden, hidden, 3),
            (hidden, leaving, 1),
        )
    return (entering, hidden, 3), (hidden, leaving, 3)


def _convolutions(spec, deep):
    return nn.ModuleList(Normalized(o, i, k, k) for i, o, k in _kernels(spec, deep))


class GeneratorBlock(nn.Module):
    def __init__(self, spec, deep, condition, classes):
        super().__init__()
        self.spec, self.doubled = spec, int(deep) if spec.resample else -1
        kernels = _kernels(spec, deep)
        self.norms = nn.ModuleList(Norm(i, condition, classes) for i, _, _ in kernels)
        self.convolutions = _convolutions(spec, deep)
        self.shortcut = None
        if not deep and (spec.resample or spec.in_channels != spec.out_channels):
            self.shortcut = Normalized(spec.out_channels, spec.in_channels, 1, 1)

    def forward(self, x, condition):
        h = x
        for i, (norm, convolution) in enumerate(zip(self.norms, self.convolutions, strict=True)):
            h = F.relu(norm(h, condition))
            h = convolution(F.interpolate(h, scale_factor=2) if i == self.doubled else h)
        x = x[:, : self.spec.out_channels] if self.shortcut is None else x
        x = F.interpolate(x, scale_factor=2) if self.spec.resample else x
        return h + (x if self.shortcut is None else self.shortcut(x))


class DiscriminatorBlock(nn.Module):
    def __init__(self, spec, deep, preactivate):
        super().__init__()
        self.spec, self.deep, self.preactivate = spec, deep, preactivate
        self.convolutions = _convolutions(spec, deep)
        added = spec.out_channels - (spec.in_channels if deep else 0)
        projected = added and (deep or spec.resample or spec.in_channels != spec.out_channels)
        self.shortcut = Normalized(added, spec.in_channels, 1, 1) if projected else None

    def forward(self, x):
        h = x
        for i, convolution in enumerate(self.convolutions):
            h = F.relu(h) if i or self.preactivate else h
            if self.deep and i == 3 and self.spec.resample:
                h = F.avg_pool2d(h, 2)
            h = convolution(h)
        if self.deep:
            x = F.avg_pool2d(x, 2) if self.spec.resample else x
            return h + (x if self.shortcut is None else torch.cat([x, self.shortcut(x)], 1))
        x = x if self.shortcut is None else self.shortcut(x)
        return F.avg_pool2d(h, 2) + F.avg_pool2d(x, 2) if self.spec.resample else h + x


class Attention(nn.Module):
    def __init__(self, channels):
        super().__init__()
        widths = {"theta": channels // 8, "phi": channels // 8, "g": channels // 2}
        for name, width in widths.items():
            setattr(self, name, Normalized(max(1, width), channels, 1, 1, bias=False))
        self.o = Normalized(channels, max(1, channels // 2), 1, 1, bias=False)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x):
        queries = self.theta(x).flatten(2)
        keys, values = (F.max_pool2d(f(x), 2).flatten(2) for f in (self.phi, self.g))
        weights = torch.softmax(queries.transpose(1, 2) @ keys, -1)
        mixed = (values @ weights.transpose(1, 2)).view(len(x), -1, *x.shape[2:])
        return x + self.gamma * self.o(mixed)


class Generator(nn.Module):
    def __init__(self, model):
        super().__init__()
        row = architecture_for(model.variant, model.resolution)
        deep, classes = model.variant == "biggan_deep", model.num_classes
        attention = _default(model.g_attention, row.generator.attention)
        channels, depth = _default(model.g_channels, row.base_channels), row.depth
        specs = generator_blocks(row, channels, _default(model.g_depth, depth), attention)
        self.latent_dim = _default(model.latent_dim, row.latent_dim)
        self.injection = _default(model.latent_injection, row.latent_injection)
        embedding = _default(model.embedding_dim, row.embedding_dim)
        self.chunks = len(specs) + 1 if self.injection == "split" else 1
        part = self.latent_dim // self.chunks
        condition = embedding + (0 if self.injection == "first" else part)
        self.embedding = nn.Embedding(classes, embedding) if embedding else None
        self.bottom = specs[0].in_channels
        entering = condition if self.injection == "all" else part
        self.first = Normalized(16 * self.bottom, entering)
        self.blocks = nn.ModuleList(GeneratorBlock(s, deep, condition, classes) for s in specs)
        self.attentions = nn.ModuleList(
            Attention(s.out_channels) if s.attention else nn.Identity() for s in specs
        )
        self.norm = nn.BatchNorm2d(specs[-1].out_channels)
        self.to_image = Normalized(model.image_channels, specs[-1].out_channels, 3, 3)

    def forward(self, z, labels):
        conditions = labels if self.embedding is None else self.embedding(labels)
        first, *chunks = z.chunk(self.chunks, dim=1)
        if self.injection == "all":
            first = torch.cat([z, conditions], 1)
            chunks = [None] * len(self.blocks)
        x = self.first(first).view(len(z), self.bottom, 4, 4)
        for i, (block, attention) in enumerate(zip(self.blocks, self.attentions, strict=True)):
            condition = conditions
            if self.injection != "first":
                condition = first if chunks[i] is None else torch.cat([chunks[i], conditions], 1)
            x = attention(block(x, condition))
        return torch.tanh(self.to_image(F.relu(self.norm(x))))


class Discriminator(nn.Module):
    def __init__(self, model):
        super().__init__()
        row = architecture_for(model.variant, model.resolution)
        deep = model.variant == "biggan_deep"
        attention = _default(model.d_attention, row.discriminator.attention)
        channels = _default(model.d_channels, row.base_channels)
        depth = _default(model.d_depth, row.depth)
        specs = discriminator_blocks(
            row, channels, depth, attention, model.image_channels, model.d_wide
        )
        stem = Normalized(specs[0].in_channels, model.image_channels, 3, 3) if deep else None
        self.stem = nn.Identity() if stem is None else stem
        self.blocks = nn.ModuleList(
            DiscriminatorBlock(spec, deep, deep or i > 0) for i, spec in enumerate(specs)
        )
        self.attentions = nn.ModuleList(
            Attention(s.out_channels) if s.attention else nn.Identity() for s in specs
        )
        features = specs[-1].out_channels
        self.to_logit = Normalized(1, features)
        self.class_embedding = NormalizedEmbedding(model.num_classes, features, bias=False)

    def forward(self, x, labels):
        x = self.stem(x)
        for block, attention in zip(self.blocks, self.attentions, strict=True):
            x = attention(block(x))
        features = F.relu(x).sum((2, 3))
        return self.to_logit(features)[:, 0] + (self.class_embedding(labels) * features).sum(1)


def parameters(config) -> dict[str, int]:
    """Returns the number of parameters of each network, under "G" and "D"."""
    networks = {"G": Generator(config.model), "D": Discriminator(config.model)}
    return {
        name: sum(parameter.numel() for parameter in network.parameters())
        for name, network in networks.items()
    }


def iteration(
    config,
    channels_last: bool = False,
    compiled: bool = False,
    autocast: bool = False,
    device: str = "cpu",
) -> Callable[[], torch.Tensor]:
    """Returns a function that runs one iteration on random images and returns G's last loss.

    Args:
      config: The `TrainConfig`.
      channels_last: Whether images and kernels have this memory layout.
      compiled: Whether both networks are compiled with `torch.compile`.
      autocast: Whether both networks compute in bfloat16 where PyTorch's autocast does so.
      device: "cpu" or "cuda".
    """
    torch.manual_seed(0)
    model, step = config.model, config.step
    generator, discriminator = Generator(model).to(device), Discriminator(model).to(device)
    average = copy.deepcopy(generator)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    for network in (generator, discriminator):
        network.to(memory_format=layout)
    run_g, run_d = generator, discriminator
    if compiled:
        # D has two batch sizes. On a GPU, fixed sizes are faster than a symbolic size.
        dynamic = False if device == "cuda" else None
        run_g = torch.compile(generator, dynamic=dynamic)
        run_d = torch.compile(discriminator, dynamic=dynamic)
    lower_precision = torch.autocast(device, torch.bfloat16, enabled=autocast)
    betas = (step.g_beta_1, step.g_beta_2)
    adams = [
        torch.optim.Adam(network.parameters(), lr=2e-4, betas=betas, eps=step.adam_epsilon)
        for network in (generator, discriminator)
    ]
    size = step.global_batch_size // step.d_accumulations
    side, classes = model.resolution, model.num_classes
    images = 2 * torch.rand(size, model.image_channels, side, side, device=device) - 1
    images = images.to(memory_format=layout)
    labels = torch.randint(classes, (size,), device=device)

    def draw(count):
        z = torch.randn(count, generator.latent_dim, device=device)
        return z, torch.randint(classes, (count,), device=device)

    def update_d():
        adams[1].zero_grad()
        for _ in range(step.d_accumulations):
            z, y = draw(size)
            with lower_precision:
                with torch.no_grad():
                    fake = run_g(z, y)
                logits = run_d(torch.cat([fake, images]), torch.cat([y, labels]))
            loss = F.relu(1 + logits[:size]).mean() + F.relu(1 - logits[size:]).mean()
            (loss / step.d_accumulations).backward()
        adams[1].step()

    def update_g():
        discriminator.requires_grad_(False)
        adams[0].zero_grad()
        for _ in range(step.g_accumulations):
            z, y = draw(step.global_batch_size // step.g_accumulations)
            with lower_precision:
                loss = -run_d(run_g(z, y), y).mean()
            (loss / step.g_accumulations).backward()
        adams[0].step()
        discriminator.requires_grad_(True)
        return loss

    def one():
        for _ in range(step.num_d_steps):
            update_d()
        loss = update_g()
        with torch.no_grad():
            sources = (*generator.parameters(), *generator.buffers())
            for old, new in zip((*average.parameters(), *average.buffers()), sources, strict=True):
                if old.is_floating_point():
                    old.lerp_(new, 1 - step.ema_decay)
        return loss.detach()

    return one
